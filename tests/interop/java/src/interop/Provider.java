package interop;

import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ArgumentConfig;
import org.apache.dubbo.config.MethodConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;

/**
 * A real Dubbo provider of {@link EchoService}, told what to do by JSON lines:
 *
 * <pre>
 * {"cmd":"export","name":"a","port":20880}   and optionally: host, registry, application, mode, group,
 *        version, token, serialization, parameters (of the provider url)
 * {"cmd":"unexport","name":"a"}
 * {"cmd":"stop"}                             a graceful stop: read-only event, in-flight calls, close
 * </pre>
 */
public final class Provider {
    private final Map<String, ServiceConfig<?>> services = new HashMap<>();

    public static void main(String[] args) throws Exception {
        Json.serve(new Provider()::handle);
        System.exit(0);
    }

    private JsonObject handle(JsonObject command) throws Exception {
        switch (Json.string(command, "cmd", "")) {
            case "export":
                return export(command);
            case "unexport":
                services.remove(Json.string(command, "name", "provider")).unexport();
                return Json.ok();
            case "stop":
                // Dubbo's own shutdown hook does the rest.
                new Thread(() -> System.exit(0), "stop").start();
                return Json.ok();
            default:
                throw new IllegalArgumentException("unknown command: " + command);
        }
    }

    private JsonObject export(JsonObject command) throws Exception {
        String name = Json.string(command, "name", "provider");
        ServiceConfig<EchoService> service = service(command, "dubbo", EchoService.class, new Echo(name));
        service.setMethods(callbackMethods());
        service.export();
        services.put(name, service);
        return Json.ok();
    }

    /** A service as a command describes it, not exported yet. */
    static <T> ServiceConfig<T> service(JsonObject command, String protocolName, Class<T> type, T implementation) {
        ServiceConfig<T> service = new ServiceConfig<>();
        service.setApplication(application(command, "interop-provider"));
        service.setRegistry(registry(command));
        ProtocolConfig protocol = new ProtocolConfig(protocolName, Json.number(command, "port", 0));
        protocol.setPayload(64 << 20);
        if (command.has("serialization")) {
            protocol.setSerialization(Json.string(command, "serialization", null));
        }
        if (command.has("host")) {
            protocol.setHost(Json.string(command, "host", null));
        }
        service.setProtocol(protocol);
        service.setInterface(type);
        service.setRef(implementation);
        if (command.has("group")) {
            service.setGroup(Json.string(command, "group", null));
        }
        if (command.has("version")) {
            service.setVersion(Json.string(command, "version", null));
        }
        if (command.has("token")) {
            service.setToken(Json.string(command, "token", null));
        }
        Map<String, String> parameters = Json.map(command, "parameters");
        if (!parameters.isEmpty()) {
            service.setParameters(parameters);
        }
        return service;
    }

    /** Which arguments of which methods are callbacks. */
    static List<MethodConfig> callbackMethods() {
        List<MethodConfig> methods = new ArrayList<>();
        for (String name : new String[] {"subscribe", "unsubscribe"}) {
            ArgumentConfig argument = new ArgumentConfig();
            argument.setIndex(1);
            // false takes back what a call with true gave.
            argument.setCallback(name.equals("subscribe"));
            MethodConfig method = new MethodConfig();
            method.setName(name);
            method.setArguments(Collections.singletonList(argument));
            methods.add(method);
        }
        return methods;
    }

    static ApplicationConfig application(JsonObject command, String otherwise) {
        ApplicationConfig application = new ApplicationConfig(Json.string(command, "application", otherwise));
        application.setQosEnable(false);
        if (command.has("mode")) {
            // 3.x only: interface, instance or all.
            try {
                ApplicationConfig.class.getMethod("setRegisterMode", String.class).invoke(application, Json.string(command, "mode", null));
            } catch (ReflectiveOperationException e) {
                throw new IllegalStateException("this Dubbo has no register mode", e);
            }
        }
        return application;
    }

    static RegistryConfig registry(JsonObject command) {
        RegistryConfig registry = new RegistryConfig(Json.string(command, "registry", "N/A"));
        // Etcd is not a config center or a metadata report in every line.
        registry.setUseAsConfigCenter(false);
        registry.setUseAsMetadataCenter(false);
        registry.setTimeout(10_000);
        return registry;
    }
}
