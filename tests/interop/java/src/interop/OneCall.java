package interop;

import java.util.Arrays;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.dubbo.rpc.RpcContext;
import org.apache.dubbo.rpc.service.GenericService;

/** One call by name, in each of the ways a program can make it. */
final class OneCall {
    private OneCall() {}

    static Object make(Object reference, String how, String method, String text, int number) throws Throwable {
        switch (how) {
            case "sync":
                return plain(reference, method, text, number);
            case "async":
                return unwrapped(() -> RpcContext.getContext()
                        .asyncCall((Callable<Object>) () -> {
                            try {
                                return plain(reference, method, text, number);
                            } catch (Exception e) {
                                throw e;
                            } catch (Throwable e) {
                                throw new ExecutionException(e);
                            }
                        })
                        .get(30, TimeUnit.SECONDS));
            case "async-config":
                // The reference is configured async: the call returns at once, the context has the future.
                plain(reference, method, text, number);
                return unwrapped(() -> RpcContext.getContext().getCompletableFuture().get(30, TimeUnit.SECONDS));
            case "generic":
                return ((GenericService) reference).$invoke(method, types(method), arguments(method, text, number));
            case "generic-async":
                return unwrapped(() -> ((GenericService) reference)
                        .$invokeAsync(method, types(method), arguments(method, text, number))
                        .get(30, TimeUnit.SECONDS));
            default:
                throw new IllegalArgumentException("unknown way to call: " + how);
        }
    }

    private static Object unwrapped(Callable<Object> call) throws Throwable {
        try {
            return call.call();
        } catch (ExecutionException e) {
            throw e.getCause();
        }
    }

    private static Object plain(Object reference, String method, String text, int number) throws Throwable {
        EchoService service = (EchoService) reference;
        switch (method) {
            case "whoami":
                return service.whoami();
            case "sleep":
                return service.sleep(number);
            case "greet":
                return service.greet(text, number);
            case "fail":
                return service.fail(text);
            case "string":
                return service.string(text);
            case "oneWay":
                service.oneWay(text);
                return null;
            case "oneWayCount":
                return service.oneWayCount(text);
            case "future":
                return service.future(text).get(30, TimeUnit.SECONDS);
            case "bytes":
                byte[] sent = new byte[number];
                for (int i = 0; i < sent.length; i++) {
                    sent[i] = (byte) (i * 31 + i / 251);
                }
                byte[] back = service.bytes(sent);
                return Arrays.equals(sent, back) ? "equal " + back.length : "different";
            case "$echo":
                return ((org.apache.dubbo.rpc.service.EchoService) service).$echo(text);
            default:
                throw new IllegalArgumentException("unknown method: " + method);
        }
    }

    private static String[] types(String method) {
        switch (method) {
            case "sleep":
                return new String[] {"long"};
            case "fail":
            case "string":
            case "future":
                return new String[] {"java.lang.String"};
            default:
                return new String[0];
        }
    }

    private static Object[] arguments(String method, String text, int number) {
        switch (method) {
            case "sleep":
                return new Object[] {(long) number};
            case "fail":
            case "string":
            case "future":
                return new Object[] {text};
            default:
                return new Object[0];
        }
    }
}
