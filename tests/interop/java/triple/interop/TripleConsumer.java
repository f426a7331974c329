package interop;

import com.google.gson.JsonObject;
import java.util.Map;
import org.apache.dubbo.common.stream.StreamObserver;

/**
 * A real Triple consumer: what {@link Consumer} does, with the suites of {@link StreamService} and
 * {@link GreeterService} for references whose {@code interface} is one of these, and beside it:
 *
 * <pre>
 * {"cmd":"tick","ref":"r1"}                          a stream until it ends, and what the caller was told
 * {"cmd":"script","headers":{":status":"200"},...}   a server of {@link ScriptedServer} that answers so; its port
 * {"cmd":"scripted"}                                 how often it was asked since
 * </pre>
 */
public final class TripleConsumer {
    private final Consumer consumer = new Consumer();
    private ScriptedServer scripted;

    public static void main(String[] args) throws Exception {
        Json.serve(new TripleConsumer()::handle);
        System.exit(0);
    }

    private JsonObject handle(JsonObject command) throws Exception {
        switch (Json.string(command, "cmd", "")) {
            case "suite":
                return suite(command);
            case "tick":
                return tick(command);
            case "script":
                return script(command);
            case "scripted":
                JsonObject answer = Json.ok();
                answer.addProperty("asked", scripted.asked());
                return answer;
            default:
                return consumer.handle(command);
        }
    }

    @SuppressWarnings("unchecked")
    private JsonObject tick(JsonObject command) {
        StreamService service = (StreamService) consumer.reference(Json.string(command, "ref", ""));
        JsonObject answer = Json.ok();
        answer.addProperty("told", StreamCases.told(
                answers -> service.tick("ticks", (StreamObserver<String>) (StreamObserver<?>) answers)));
        return answer;
    }

    private JsonObject script(JsonObject command) throws Exception {
        if (scripted == null) {
            scripted = new ScriptedServer();
        }
        scripted.answer(command);
        JsonObject answer = Json.ok();
        answer.addProperty("port", scripted.port());
        return answer;
    }

    private JsonObject suite(JsonObject command) throws Exception {
        Object reference = consumer.reference(Json.string(command, "ref", ""));
        if (reference instanceof StreamService) {
            return cases(StreamCases.run((StreamService) reference));
        }
        if (reference instanceof GreeterService) {
            return cases(StreamCases.run((GreeterService) reference));
        }
        return consumer.handle(command);
    }

    private static JsonObject cases(Map<String, String> seen) {
        JsonObject cases = new JsonObject();
        seen.forEach(cases::addProperty);
        JsonObject answer = Json.ok();
        answer.add("cases", cases);
        return answer;
    }
}
