package interop;

import com.google.gson.JsonObject;
import java.util.Map;

/**
 * A real Triple consumer: what {@link Consumer} does, with the suites of {@link StreamService} and
 * {@link GreeterService} for references whose {@code interface} is one of these, and beside it:
 *
 * <pre>
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
