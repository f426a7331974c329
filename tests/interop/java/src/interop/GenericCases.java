package interop;

import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import org.apache.dubbo.rpc.RpcException;
import org.apache.dubbo.rpc.service.GenericService;

/** Calls without the interface: {@code $invoke} and {@code $invokeAsync}. */
final class GenericCases {
    private final Map<String, String> seen = new LinkedHashMap<>();
    private final GenericService service;

    private GenericCases(GenericService service) {
        this.service = service;
    }

    static Map<String, String> run(GenericService service) {
        GenericCases cases = new GenericCases(service);
        cases.all();
        return cases.seen;
    }

    private void see(String name, Callable<Object> call) {
        String text;
        try {
            text = Text.of(call.call());
        } catch (Throwable e) {
            text = "threw " + told(e);
        }
        seen.put(name, text);
    }

    /** Without addresses, which an RpcException's message holds, and without the provider's stack. */
    private static String told(Throwable e) {
        if (e instanceof RpcException) {
            return "RpcException code=" + ((RpcException) e).getCode();
        }
        return Text.failure(e).split("[\r\n]", 2)[0];
    }

    private Object invoke(String method, String type, Object argument) {
        return service.$invoke(method, new String[] {type}, new Object[] {argument});
    }

    private void all() {
        see("string", () -> invoke("string", "java.lang.String", "ä😀"));
        see("int", () -> invoke("intValue", "int", 5));
        see("long", () -> invoke("longValue", "long", 1L << 40));
        see("enum", () -> invoke("color", "interop.EchoService$Color", "RED"));
        see("list", () -> invoke("list", "java.util.List", Arrays.asList(1, "two")));
        Map<String, Object> node = new HashMap<>();
        node.put("class", "interop.Node");
        node.put("name", "generic");
        node.put("number", 3);
        see("node", () -> invoke("node", "interop.Node", node));
        see("overloaded int", () -> invoke("overloaded", "int", 5));
        see("overloaded string", () -> invoke("overloaded", "java.lang.String", "5"));
        see("nothing", () -> service.$invoke("nothing", new String[0], new Object[0]));
        see("checked", () -> invoke("fail", "java.lang.String", "checked"));
        see("runtime", () -> invoke("fail", "java.lang.String", "runtime"));
        see("future", () -> invoke("future", "java.lang.String", "f"));
        see("no such method", () -> invoke("missing", "java.lang.String", "x"));
        see("async", () -> service
                .$invokeAsync("string", new String[] {"java.lang.String"}, new Object[] {"async"})
                .get(10, TimeUnit.SECONDS));
    }
}
