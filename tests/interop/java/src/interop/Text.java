package interop;

import java.lang.reflect.Array;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.Collection;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.TreeMap;
import org.apache.dubbo.rpc.RpcException;
import org.apache.dubbo.rpc.service.GenericException;

/**
 * Any value as a text that tells apart whatever a program could: two values
 * with equal texts are equal for their users. Classes are named, cycles are
 * drawn as references, what has no order is sorted, what is long is hashed.
 */
final class Text {
    private static final int LONG = 200;

    private final StringBuilder out = new StringBuilder();
    private final IdentityHashMap<Object, Integer> seen = new IdentityHashMap<>();

    private Text() {}

    static String of(Object value) {
        Text text = new Text();
        text.value(value);
        return text.out.toString();
    }

    /** What a caller can see of an exception: class, code, message, causes. */
    static String failure(Throwable failure) {
        StringBuilder out = new StringBuilder();
        int depth = 0;
        for (Throwable e = failure; e != null && depth < 4; e = e.getCause() == e ? null : e.getCause(), depth++) {
            if (depth > 0) {
                out.append(" <- ");
            }
            out.append(e.getClass().getName());
            if (e instanceof RpcException) {
                out.append(" code=").append(((RpcException) e).getCode());
            } else if (e instanceof CheckedFailure) {
                out.append(" number=").append(((CheckedFailure) e).getNumber());
            } else if (e instanceof CustomFailure) {
                out.append(" code=").append(((CustomFailure) e).getCode());
            } else if (e instanceof GenericException) {
                GenericException generic = (GenericException) e;
                out.append(" of=").append(generic.getExceptionClass()).append(" says=").append(generic.getExceptionMessage());
            }
            out.append(": ").append(e.getMessage());
        }
        return out.toString();
    }

    private void value(Object v) {
        if (v == null) {
            out.append("null");
            return;
        }
        Class<?> type = v instanceof Enum ? ((Enum<?>) v).getDeclaringClass() : v.getClass();
        if (v instanceof String) {
            string((String) v);
        } else if (v instanceof Number || v instanceof Boolean || v instanceof Character || type.getName().startsWith("java.time.")) {
            out.append(type.getSimpleName()).append(' ').append(v instanceof Character ? "U+" + Integer.toHexString((Character) v) : v);
        } else if (v instanceof java.util.Date) {
            out.append(type.getName()).append(' ').append(((java.util.Date) v).getTime());
        } else if (v instanceof Enum) {
            out.append(type.getName()).append('.').append(((Enum<?>) v).name());
        } else if (seen.containsKey(v)) {
            out.append("#").append(seen.get(v));
        } else {
            seen.put(v, seen.size());
            if (type.isArray()) {
                array(v, type);
            } else if (v instanceof Map) {
                map((Map<?, ?>) v, type);
            } else if (v instanceof Collection) {
                collection((Collection<?>) v, type);
            } else {
                fields(v, type);
            }
        }
    }

    private void string(String s) {
        if (s.length() <= LONG) {
            out.append('"').append(s).append('"');
        } else {
            out.append("String of ").append(s.length()).append(" hash ").append(s.hashCode());
        }
    }

    private void array(Object v, Class<?> type) {
        int length = Array.getLength(v);
        out.append(type.getComponentType().getName()).append('[').append(length).append(']');
        if (v instanceof byte[] && length > LONG) {
            out.append(" hash ").append(java.util.Arrays.hashCode((byte[]) v));
            return;
        }
        out.append('{');
        for (int i = 0; i < length; i++) {
            value(Array.get(v, i));
            out.append(',');
        }
        out.append('}');
    }

    private void map(Map<?, ?> v, Class<?> type) {
        TreeMap<String, Object> sorted = new TreeMap<>();
        v.forEach((key, value) -> sorted.put(of(key), value));
        out.append(type.getName()).append('{');
        sorted.forEach((key, value) -> {
            out.append(key).append('=');
            value(value);
            out.append(',');
        });
        out.append('}');
    }

    private void collection(Collection<?> v, Class<?> type) {
        Collection<?> ordered = v;
        if (v instanceof java.util.Set) {
            TreeMap<String, Object> sorted = new TreeMap<>();
            v.forEach(e -> sorted.put(of(e), e));
            ordered = sorted.values();
        }
        out.append(type.getName()).append('(');
        for (Object element : ordered) {
            value(element);
            out.append(',');
        }
        out.append(')');
    }

    private void fields(Object v, Class<?> type) {
        out.append(type.getName()).append('{');
        for (Field field : type.getDeclaredFields()) {
            if (Modifier.isStatic(field.getModifiers()) || Modifier.isTransient(field.getModifiers())) {
                continue;
            }
            out.append(field.getName()).append('=');
            try {
                field.setAccessible(true);
                value(field.get(v));
            } catch (IllegalAccessException | RuntimeException e) {
                out.append('?').append(e.getClass().getSimpleName());
            }
            out.append(',');
        }
        out.append('}');
    }
}
