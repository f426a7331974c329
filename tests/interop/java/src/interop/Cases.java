package interop;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Date;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.dubbo.rpc.RpcContext;

/** Every kind of call and value, each under a name, with what the caller saw as a text. */
final class Cases {
    private final Map<String, String> seen = new LinkedHashMap<>();
    private final EchoService service;

    private Cases(EchoService service) {
        this.service = service;
    }

    static Map<String, String> run(EchoService service) {
        Cases cases = new Cases(service);
        cases.scalars();
        cases.collections();
        cases.objects();
        cases.large();
        cases.failures();
        cases.ways();
        cases.attachments();
        cases.callbacks();
        return cases.seen;
    }

    private void see(String name, Callable<Object> call) {
        String text;
        try {
            text = Text.of(call.call());
        } catch (Throwable e) {
            text = "threw " + Text.failure(e);
        }
        seen.put(name, text);
    }

    private void scalars() {
        for (boolean v : new boolean[] {true, false}) {
            see("boolean " + v, () -> service.booleanValue(v));
        }
        for (byte v : new byte[] {0, 1, -1, Byte.MIN_VALUE, Byte.MAX_VALUE}) {
            see("byte " + v, () -> service.byteValue(v));
        }
        for (short v : new short[] {0, -1, Short.MIN_VALUE, Short.MAX_VALUE}) {
            see("short " + v, () -> service.shortValue(v));
        }
        for (int v : new int[] {0, -16, 47, 48, -2048, 2047, 2048, -262144, 262143, 262144, Integer.MIN_VALUE, Integer.MAX_VALUE}) {
            see("int " + v, () -> service.intValue(v));
        }
        for (long v : new long[] {0, -8, 15, 16, -2048, 2047, 262143, 262144, 1L << 31, Long.MIN_VALUE, Long.MAX_VALUE}) {
            see("long " + v, () -> service.longValue(v));
        }
        for (float v : new float[] {0, 1, -1.5f, 3.1415927f, Float.MAX_VALUE, Float.POSITIVE_INFINITY, Float.NaN}) {
            see("float " + v, () -> service.floatValue(v));
        }
        for (double v : new double[] {0, 1, 127, 128, -32768, 12.25, Math.PI, Double.MIN_VALUE, Double.NEGATIVE_INFINITY, Double.NaN}) {
            see("double " + v, () -> service.doubleValue(v));
        }
        for (char v : new char[] {'a', '\0', 'ä', '\u4e16', '\uffff'}) {
            see("char " + (int) v, () -> service.charValue(v));
        }
        for (String v : new String[] {"", "a", "ärger", "世界", "😀 pair", "nul\0in", "\uFEFFbom"}) {
            see("string " + v, () -> service.string(v));
        }
        see("string null", () -> service.string(null));
        see("string 31", () -> service.string(repeat("x", 31)));
        see("string 32", () -> service.string(repeat("x", 32)));
        see("string 1023", () -> service.string(repeat("ü", 1023)));
        see("string 1024", () -> service.string(repeat("ü", 1024)));
        see("string 40000 pairs", () -> service.string(repeat("😀", 40000)));
    }

    private void collections() {
        for (int length : new int[] {0, 1, 15, 16, 1023, 1024, 4093, 4094, 8189, 8190, 70000}) {
            see("bytes " + length, () -> service.bytes(pattern(length)));
        }
        see("ints", () -> service.ints(new int[] {1, -1, 1 << 20, Integer.MIN_VALUE}));
        see("ints empty", () -> service.ints(new int[0]));
        see("strings", () -> service.strings(new String[] {"a", null, "😀"}));
        see("list", () -> service.list(new ArrayList<>(Arrays.asList(1, 2L, "three", 4.5, null, true))));
        see("list empty", () -> service.list(new ArrayList<>()));
        see("list of lists", () -> service.list(new ArrayList<>(Arrays.asList(new ArrayList<>(Arrays.asList(1, 2)), new ArrayList<>()))));
        see("list long", () -> service.list(IntStream.range(0, 1000).boxed().collect(Collectors.toCollection(ArrayList::new))));
        Map<String, Object> map = new HashMap<>();
        map.put("one", 1);
        map.put("nested", new HashMap<>(Collections.singletonMap("k", new Node("in a map", 1, null))));
        map.put("null", null);
        see("map", () -> service.map(map));
        see("map sorted", () -> service.map(new TreeMap<>(Collections.singletonMap("k", "v"))));
        see("map null", () -> service.map(null));
        see("set", () -> service.set(new HashSet<>(Arrays.asList("a", "b", "c"))));
    }

    private void objects() {
        Node leaf = new Node("leaf", 7, 1L << 40);
        see("node", () -> service.node(leaf));
        see("node null", () -> service.node(null));
        Node root = new Node("root", 1, null);
        root.setLabels(new HashMap<>(Collections.singletonMap("k", "ü")));
        for (int i = 0; i < 3; i++) {
            Node child = new Node("child " + i, i, (long) i);
            child.setParent(root);
            root.getChildren().add(child);
        }
        see("node cyclic", () -> service.node(root));
        Node self = new Node("self", 0, null);
        self.setParent(self);
        see("node of itself", () -> service.node(self));
        see("nodes", () -> service.nodes(new Node[] {leaf, null, leaf}));
        Node deep = new Node("0", 0, null);
        Node end = deep;
        for (int i = 1; i < 100; i++) {
            Node next = new Node(String.valueOf(i), i, null);
            end.getChildren().add(next);
            end = next;
        }
        see("node deep", () -> service.node(deep));
        see("enum", () -> service.color(EchoService.Color.RED));
        see("enum with a body", () -> service.color(EchoService.Color.GREEN));
        see("enum null", () -> service.color(null));
        see("decimal", () -> service.decimal(new BigDecimal("-12345678901234567890.123456789")));
        see("date", () -> service.date(new Date(1_700_000_000_123L)));
        see("date minute", () -> service.date(new Date(1_700_000_040_000L)));
        see("date time", () -> service.dateTime(LocalDateTime.of(2024, 2, 29, 23, 59, 59, 123_456_789)));
        see("any integer", () -> service.any(new BigInteger("123456789012345678901234567890")));
        see("any date", () -> service.any(LocalDate.of(1969, 12, 31)));
        see("any node", () -> service.any(leaf));
        see("any null", () -> service.any(null));
        see("overloaded int", () -> service.overloaded(5));
        see("overloaded string", () -> service.overloaded("5"));
        see("nothing", () -> {
            service.nothing();
            return null;
        });
    }

    private void large() {
        see("bytes 1 MiB", () -> service.bytes(pattern(1 << 20)));
        see("string 1 MiB", () -> service.string(repeat("m", 1 << 20)));
        see("bytes 9 MiB", () -> service.bytes(pattern(9 << 20)));
    }

    private void failures() {
        for (String kind : new String[] {"checked", "runtime", "custom", "error", "none"}) {
            see("fail " + kind, () -> service.fail(kind));
        }
    }

    private void ways() {
        see("echo", () -> ((org.apache.dubbo.rpc.service.EchoService) service).$echo("hello"));
        see("future", () -> service.future("f").get(10, TimeUnit.SECONDS));
        see("many futures", () -> {
            List<java.util.concurrent.CompletableFuture<String>> futures =
                    IntStream.range(0, 50).mapToObj(i -> service.future("n" + i)).collect(Collectors.toList());
            StringBuilder all = new StringBuilder();
            for (java.util.concurrent.CompletableFuture<String> future : futures) {
                all.append(future.get(10, TimeUnit.SECONDS)).append(';');
            }
            return all.toString();
        });
        see("async call", () -> RpcContext.getContext().asyncCall(() -> service.string("async")).get(10, TimeUnit.SECONDS));
        see("one way", () -> {
            String key = "one-way-" + System.nanoTime();
            for (int i = 0; i < 3; i++) {
                service.oneWay(key);
            }
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(5);
            while (service.oneWayCount(key) < 3 && System.nanoTime() < deadline) {
                Thread.sleep(10);
            }
            return service.oneWayCount(key);
        });
    }

    private void attachments() {
        see("attachments", () -> {
            RpcContext.getContext().setAttachment("case-plain", "1");
            RpcContext.getContext().setAttachment("case-unicode", "für 😀");
            RpcContext.getContext().setAttachment("case-empty", "");
            String there = service.attachments("case-");
            Map<String, String> back = new TreeMap<>();
            RpcContext.getServerContext().getAttachments().forEach((key, value) -> {
                if (key.startsWith("answer-")) {
                    back.put(key, value);
                }
            });
            return there + " / " + back;
        });
        // What was set for one call must not travel with the next.
        see("attachments gone", () -> service.attachments("case-plain"));
    }

    private void callbacks() {
        see("callback", () -> {
            String key = "callback-" + System.nanoTime();
            BlockingQueue<String> events = new LinkedBlockingQueue<>();
            EchoService.Listener listener = text -> {
                events.add(text);
                return "heard " + text.substring(key.length());
            };
            String during = service.subscribe(key, listener, 2, 2);
            List<String> heard = new ArrayList<>();
            for (int i = 0; i < 4; i++) {
                String event = events.poll(5, TimeUnit.SECONDS);
                heard.add(event == null ? "nothing" : event.substring(key.length()));
            }
            service.unsubscribe(key, listener);
            return during + " / " + heard;
        });
    }

    private static byte[] pattern(int length) {
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i++) {
            bytes[i] = (byte) (i * 31 + i / 251);
        }
        return bytes;
    }

    private static String repeat(String s, int times) {
        StringBuilder out = new StringBuilder(s.length() * times);
        for (int i = 0; i < times; i++) {
            out.append(s);
        }
        return out.toString();
    }
}
