package interop;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import interop.greeter.Greeting;
import java.net.ServerSocket;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.dubbo.common.Version;
import org.apache.dubbo.common.stream.StreamObserver;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.rpc.RpcContext;

/**
 * Writes down what a real consumer and a real provider send each other: one call a line, with its frames. The
 * vectors of codec/testdata/triple_calls.jsonl are its output.
 */
public final class TripleCapture {
    private static final Gson GSON = new GsonBuilder().disableHtmlEscaping().create();

    private final int provider;
    private Recorder recorder;

    private TripleCapture(int provider) {
        this.provider = provider;
    }

    public static void main(String[] args) throws Exception {
        java.io.PrintStream out = new java.io.PrintStream(System.out, true, "UTF-8");
        System.setOut(System.err);
        List<JsonObject> calls = new TripleCapture(export()).calls();
        calls.forEach(call -> out.println(GSON.toJson(call)));
        // Not exit(): Dubbo's shutdown would try to reconnect to itself.
        Runtime.getRuntime().halt(0);
    }

    private static int export() throws Exception {
        int port;
        try (ServerSocket free = new ServerSocket(0)) {
            port = free.getLocalPort();
        }
        JsonObject command = capture();
        command.addProperty("name", "capture");
        command.addProperty("port", port);
        JsonObject parameters = new JsonObject();
        parameters.addProperty("prefer.serialization", "hessian2,fastjson2");
        command.add("parameters", parameters);
        TripleProvider.export(command);
        command.addProperty("group", "g1");
        command.addProperty("version", "2.0.0");
        TripleProvider.export(command);
        return port;
    }

    /** Both sides are one application, because one process can be no more. */
    private static JsonObject capture() {
        JsonObject command = new JsonObject();
        command.addProperty("application", "interop-capture");
        return command;
    }

    private interface Call {
        Object make() throws Exception;
    }

    private final List<JsonObject> calls = new ArrayList<>();

    private List<JsonObject> calls() throws Exception {
        for (String serialization : new String[] {"hessian2", "fastjson2"}) {
            recorder = new Recorder(provider);
            EchoService echo = refer(EchoService.class, "?serialization=" + serialization, null, null);
            unary(serialization + ": ", echo);
            failures(serialization + ": ", echo);
        }
        recorder = new Recorder(provider);
        EchoService grouped = refer(EchoService.class, "?serialization=hessian2", "g1", "2.0.0");
        capture("group and version", grouped::whoami);
        attachments(grouped);
        generic();
        refused();
        streams(refer(StreamService.class, "?serialization=hessian2", null, null));
        greetings(refer(GreeterService.class, "", null, null));
        return calls;
    }

    private void unary(String prefix, EchoService echo) throws Exception {
        capture(prefix + "no argument", echo::whoami);
        capture(prefix + "void", () -> {
            echo.nothing();
            return null;
        });
        capture(prefix + "string", () -> echo.string("ärger 😀"));
        capture(prefix + "null", () -> echo.string(null));
        capture(prefix + "int", () -> echo.intValue(70_000));
        capture(prefix + "long", () -> echo.longValue(-5));
        capture(prefix + "boolean", () -> echo.booleanValue(true));
        capture(prefix + "double", () -> echo.doubleValue(12.25));
        capture(prefix + "overloaded int", () -> echo.overloaded(5));
        capture(prefix + "overloaded string", () -> echo.overloaded("5"));
        capture(prefix + "object", () -> echo.node(new Node("n", 1, 2L)));
        capture(prefix + "list", () -> echo.list(new ArrayList<>(Collections.singletonList("x"))));
        capture(prefix + "bytes", () -> echo.bytes(new byte[] {1, 2, 3}));
        capture(prefix + "echo", () -> ((org.apache.dubbo.rpc.service.EchoService) echo).$echo("hello"));
    }

    private void failures(String prefix, EchoService echo) throws Exception {
        for (String kind : new String[] {"checked", "runtime", "custom", "error"}) {
            capture(prefix + "fails: " + kind, () -> echo.fail(kind));
        }
    }

    private void attachments(EchoService echo) throws Exception {
        capture("attachments", () -> {
            RpcContext.getClientAttachment().setAttachment("user", "u7");
            RpcContext.getClientAttachment().setAttachment("Mixed-Case", "kept");
            RpcContext.getClientAttachment().setObjectAttachment("number", 42);
            RpcContext.getClientAttachment().setObjectAttachment("flag", true);
            RpcContext.getClientAttachment().setObjectAttachment("raw", new byte[] {0, (byte) 0xff, 1, 2});
            RpcContext.getClientAttachment().setAttachment("empty", "");
            RpcContext.getClientAttachment().setAttachment("dubbo.tag", "gray");
            Map<String, Object> back = new HashMap<>();
            String there = echo.attachments("");
            RpcContext.getServerContext().getObjectAttachments().forEach(back::put);
            return there + " / " + new TreeMap<>(back).keySet();
        });
    }

    private void generic() throws Exception {
        ReferenceConfig<org.apache.dubbo.rpc.service.GenericService> config = config("interop.EchoService", "", null, null);
        config.setGeneric("true");
        org.apache.dubbo.rpc.service.GenericService service = config.get();
        capture("generic", () -> service.$invoke("string", new String[] {"java.lang.String"}, new Object[] {"x"}));
        capture("generic: no such method", () -> service.$invoke("nope", new String[0], new Object[0]));
    }

    /** What the provider has not. */
    private void refused() throws Exception {
        Unknown unknown = refer(Unknown.class, "?serialization=hessian2", null, null);
        capture("no such service", () -> unknown.unknown("x"));
        Unknown misplaced = refer(Unknown.class, "/interop.EchoService?serialization=hessian2", null, null);
        capture("no such method", () -> misplaced.unknown("x"));
        EchoService other = refer(EchoService.class, "?serialization=hessian2", "g9", "9.9.9");
        capture("no such group and version", other::whoami);
        EchoService hasty = refer(EchoService.class, "?serialization=hessian2&timeout=200", null, null);
        capture("timed out", () -> hasty.sleep(400));
    }

    /** A service that nobody exports. */
    public interface Unknown {
        String unknown(String text);
    }

    private void streams(StreamService service) throws Exception {
        capture("server stream", () -> StreamCases.told(answers -> service.count(2, text(answers))));
        capture("server stream that fails", () -> StreamCases.told(answers -> service.countAndFail(1, text(answers))));
        capture("client stream", () -> StreamCases.told(answers -> {
            StreamObserver<Node> sent = service.collect(text(answers));
            sent.onNext(new Node("a", 1, null));
            sent.onNext(new Node("b", 1, null));
            sent.onCompleted();
        }));
        capture("bidirectional", () -> StreamCases.told(answers -> {
            StreamObserver<String> sent = service.chat(text(answers));
            sent.onNext("one");
            sent.onNext("two");
            sent.onCompleted();
        }));
    }

    private void greetings(GreeterService service) throws Exception {
        capture("protobuf", () -> service.greet(StreamCases.person("Ann", 0)).getText());
        capture("protobuf server stream", () -> StreamCases.told(
                answers -> service.greetOften(StreamCases.person("Ann", 2), GreeterAnswers.of(answers))));
    }

    @SuppressWarnings("unchecked")
    private static StreamObserver<String> text(StreamObserver<Object> answers) {
        return (StreamObserver<String>) (StreamObserver<?>) answers;
    }

    /** For the type parameter's sake. */
    private static final class GreeterAnswers {
        @SuppressWarnings("unchecked")
        static StreamObserver<Greeting> of(StreamObserver<Object> answers) {
            return (StreamObserver<Greeting>) (StreamObserver<?>) answers;
        }
    }

    private void capture(String name, Call call) throws Exception {
        recorder.take();
        String seen;
        try {
            seen = Text.of(call.make());
        } catch (Throwable e) {
            seen = "threw " + Text.failure(e);
        }
        JsonObject line = new JsonObject();
        line.addProperty("name", name);
        line.addProperty("dubbo", Version.getVersion());
        line.addProperty("seen", seen);
        JsonArray frames = new JsonArray();
        List<JsonObject> recorded = recorder.take();
        // A call before may still have been given up after its caller had gone on.
        int stream = recorded.stream()
                .filter(frame -> frame.has("headers") && Json.string(frame, "from", "").equals("client"))
                .mapToInt(frame -> Json.number(frame, "stream", 0))
                .max()
                .orElse(0);
        recorded.stream().filter(frame -> Json.number(frame, "stream", 0) == stream).forEach(frames::add);
        line.add("frames", frames);
        calls.add(line);
    }

    private <T> T refer(Class<T> type, String query, String group, String version) {
        return this.<T>config(type.getName(), query, group, version).get();
    }

    private <T> ReferenceConfig<T> config(String type, String query, String group, String version) {
        ReferenceConfig<T> config = new ReferenceConfig<>();
        config.setApplication(Provider.application(capture(), ""));
        config.setRegistry(Provider.registry(capture()));
        config.setInterface(type);
        config.setUrl("tri://2130706433:" + recorder.port() + query);
        config.setGroup(group);
        config.setVersion(version);
        config.setTimeout(query.contains("timeout=") ? null : 5000);
        config.setRetries(0);
        return config;
    }
}
