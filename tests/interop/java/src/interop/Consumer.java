package interop;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.dubbo.config.MethodConfig;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.rpc.RpcContext;
import org.apache.dubbo.rpc.service.GenericService;

/**
 * A real Dubbo consumer of {@link EchoService}, told what to do by JSON lines:
 *
 * <pre>
 * {"cmd":"refer","ref":"r1","url":"dubbo://host:port?heartbeat=1000"}   or registry; and optionally: application,
 *        interface, group, version, timeout, retries, generic, async, sent, check, loadbalance, parameters
 * {"cmd":"suite","ref":"r1"}                    every case's name and what the caller saw
 * {"cmd":"call","ref":"r1","method":"whoami"}   whoami, sleep, fail, big, $echo …; how: sync, async, generic
 * {"cmd":"reach","ref":"r1","method":"greet","text":"tom","number":1,"attachments":{},"count":20}   who answered how often
 * {"cmd":"rule","key":"shop.tag-router","text":"…"}   put into the config center, or taken out without text
 * {"cmd":"flood","ref":"r1","count":20,"millis":500}   so many sleeping calls at once, all answers
 * {"cmd":"load-start","ref":"r1","threads":4} / {"cmd":"load-stop"}     calls, who answered, failures
 * {"cmd":"destroy","ref":"r1"}
 * </pre>
 */
public final class Consumer {
    /** Without a registry nobody tells which arguments are callbacks and how large a request may be. */
    private static final String TOLD_BY_A_REGISTRY = "subscribe.1.callback=true&unsubscribe.1.callback=false&payload=67108864";

    private final Map<String, ReferenceConfig<?>> configs = new ConcurrentHashMap<>();
    private final Map<String, Object> references = new ConcurrentHashMap<>();
    private final RuleStore rules = new RuleStore();
    private Load load;

    public static void main(String[] args) throws Exception {
        Json.serve(new Consumer()::handle);
        System.exit(0);
    }

    JsonObject handle(JsonObject command) throws Exception {
        String ref = Json.string(command, "ref", "");
        switch (Json.string(command, "cmd", "")) {
            case "refer":
                return refer(command, ref);
            case "suite":
                return suite(ref);
            case "call":
                return call(command, ref);
            case "reach":
                return reach(command, ref);
            case "rule":
                return rules.set(Json.string(command, "key", null), Json.string(command, "text", null));
            case "flood":
                return flood(command, ref);
            case "load-start":
                load = new Load((EchoService) reference(ref), Json.number(command, "threads", 4), Json.number(command, "millis", 0));
                return Json.ok();
            case "load-stop":
                return load.stop();
            case "destroy":
                references.remove(ref);
                configs.remove(ref).destroy();
                return Json.ok();
            default:
                throw new IllegalArgumentException("unknown command: " + command);
        }
    }

    Object reference(String ref) {
        Object reference = references.get(ref);
        if (reference == null) {
            throw new IllegalArgumentException("no reference " + ref);
        }
        return reference;
    }

    private JsonObject refer(JsonObject command, String ref) {
        ReferenceConfig<Object> config = new ReferenceConfig<>();
        config.setApplication(Provider.application(command, "interop-consumer"));
        config.setRegistry(Provider.registry(command));
        config.setInterface(Json.string(command, "interface", EchoService.class.getName()));
        if (command.has("url")) {
            String url = Json.string(command, "url", null);
            config.setUrl(url + (url.contains("?") ? "&" : "?") + TOLD_BY_A_REGISTRY);
        }
        if (command.has("group")) {
            config.setGroup(Json.string(command, "group", null));
        }
        if (command.has("version")) {
            config.setVersion(Json.string(command, "version", null));
        }
        config.setTimeout(Json.number(command, "timeout", 5000));
        if (command.has("retries")) {
            config.setRetries(Json.number(command, "retries", 0));
        }
        config.setCheck(Json.flag(command, "check"));
        if (command.has("loadbalance")) {
            config.setLoadbalance(Json.string(command, "loadbalance", null));
        }
        Map<String, String> parameters = Json.map(command, "parameters");
        if (!parameters.isEmpty()) {
            config.setParameters(parameters);
        }
        if (Json.flag(command, "generic")) {
            config.setGeneric("true");
        } else if (config.getInterface().equals(EchoService.class.getName())) {
            List<MethodConfig> methods = Provider.callbackMethods();
            MethodConfig oneWay = new MethodConfig();
            oneWay.setName("oneWay");
            oneWay.setReturn(false);
            methods.add(oneWay);
            config.setMethods(methods);
        }
        if (Json.flag(command, "async")) {
            config.setAsync(true);
        }
        if (Json.flag(command, "sent")) {
            config.setSent(true);
        }
        references.put(ref, config.get());
        configs.put(ref, config);
        return Json.ok();
    }

    private JsonObject suite(String ref) {
        Object reference = reference(ref);
        Map<String, String> seen = reference instanceof GenericService
                ? GenericCases.run((GenericService) reference)
                : Cases.run((EchoService) reference);
        JsonObject cases = new JsonObject();
        seen.forEach(cases::addProperty);
        JsonObject answer = Json.ok();
        answer.add("cases", cases);
        return answer;
    }

    private JsonObject call(JsonObject command, String ref) {
        String how = Json.string(command, "how", "sync");
        String method = Json.string(command, "method", "whoami");
        String text = Json.string(command, "text", "");
        int number = Json.number(command, "number", 0);
        long start = System.nanoTime();
        JsonObject answer = new JsonObject();
        try {
            Object result = OneCall.make(reference(ref), how, method, text, number);
            answer.addProperty("value", Text.of(result));
        } catch (Throwable e) {
            answer.addProperty("failure", Text.failure(e));
            if (Json.flag(command, "trace")) {
                e.printStackTrace();
            }
        }
        answer.addProperty("millis", TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start));
        return answer;
    }

    private JsonObject reach(JsonObject command, String ref) {
        String method = Json.string(command, "method", "whoami");
        String text = Json.string(command, "text", "");
        int number = Json.number(command, "number", 0);
        Map<String, String> attachments = Json.map(command, "attachments");
        Map<String, Integer> answers = new TreeMap<>();
        Map<String, Integer> failures = new TreeMap<>();
        for (int i = 0; i < Json.number(command, "count", 20); i++) {
            // Dubbo forgets them after each call.
            attachments.forEach(RpcContext.getContext()::setAttachment);
            try {
                Object name = OneCall.make(reference(ref), "sync", method, text, number);
                answers.merge((String) name, 1, Integer::sum);
            } catch (Throwable e) {
                failures.merge(Text.failure(e), 1, Integer::sum);
            }
        }
        JsonObject answer = Json.ok();
        answer.add("answers", Json.counts(answers));
        answer.add("failures", Json.counts(failures));
        return answer;
    }

    private JsonObject flood(JsonObject command, String ref) {
        EchoService service = (EchoService) reference(ref);
        int count = Json.number(command, "count", 10);
        int millis = Json.number(command, "millis", 100);
        List<CompletableFuture<String>> calls = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            CompletableFuture<String> call = new CompletableFuture<>();
            calls.add(call);
            new Thread(() -> {
                try {
                    call.complete(service.sleep(millis));
                } catch (Throwable e) {
                    call.complete(Text.failure(e));
                }
            }).start();
        }
        long start = System.nanoTime();
        JsonArray answers = new JsonArray();
        calls.stream().map(CompletableFuture::join).collect(Collectors.toList()).forEach(answers::add);
        JsonObject answer = Json.ok();
        answer.add("answers", answers);
        answer.addProperty("millis", TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start));
        return answer;
    }
}
