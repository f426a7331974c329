package interop;

import com.google.gson.JsonObject;
import org.apache.dubbo.config.ServiceConfig;

/**
 * A real Triple provider of {@link EchoService}, {@link StreamService} and {@link GreeterService}, all on one port,
 * told what to do by JSON lines:
 *
 * <pre>
 * {"cmd":"export","name":"a","port":50051}   and optionally what {@link Provider} knows
 * {"cmd":"stop"}
 * </pre>
 */
public final class TripleProvider {
    public static void main(String[] args) throws Exception {
        Json.serve(TripleProvider::handle);
        System.exit(0);
    }

    private static JsonObject handle(JsonObject command) {
        switch (Json.string(command, "cmd", "")) {
            case "export":
                export(command);
                return Json.ok();
            case "stop":
                // Dubbo's own shutdown hook does the rest.
                new Thread(() -> System.exit(0), "stop").start();
                return Json.ok();
            default:
                throw new IllegalArgumentException("unknown command: " + command);
        }
    }

    static void export(JsonObject command) {
        String name = Json.string(command, "name", "provider");
        ServiceConfig<?>[] services = {
            Provider.service(command, "tri", EchoService.class, new Echo(name)),
            Provider.service(command, "tri", StreamService.class, new Streams()),
            Provider.service(command, "tri", GreeterService.class, new Greeter()),
        };
        for (ServiceConfig<?> service : services) {
            service.export();
        }
    }
}
