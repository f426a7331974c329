package oracle;

import com.alibaba.fastjson2.JSON;
import com.alibaba.fastjson2.JSONArray;
import com.alibaba.fastjson2.JSONObject;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.logging.LogManager;
import org.apache.dubbo.common.URL;
import org.apache.dubbo.common.url.component.ServiceConfigURL;
import org.apache.dubbo.rpc.Invoker;
import org.apache.dubbo.rpc.RpcContext;
import org.apache.dubbo.rpc.RpcContextAttachment;
import org.apache.dubbo.rpc.RpcInvocation;
import org.apache.dubbo.rpc.cluster.RouterChain;
import org.apache.dubbo.rpc.cluster.SingleRouterChain;
import org.apache.dubbo.rpc.cluster.router.condition.config.AppStateRouterFactory;
import org.apache.dubbo.rpc.cluster.router.state.BitList;
import org.apache.dubbo.rpc.cluster.router.state.CacheableStateRouterFactory;
import org.apache.dubbo.rpc.cluster.router.state.StateRouterFactory;
import org.apache.dubbo.rpc.model.ApplicationModel;
import org.apache.dubbo.rpc.model.FrameworkModel;
import org.apache.dubbo.rpc.model.ModuleModel;

/**
 * Decides calls with Dubbo's own router chain. Reads one case per line on stdin (JSON: rules,
 * endpoints, call, runs) and answers each with one line on stdout: how often each result came out
 * of the runs, as {"results": {"10.0.0.1:20880,10.0.0.2:20880": 400}}, or {"error": "..."} where
 * the chain threw.
 */
public final class Oracle {
    /** Any interface: routing goes by the URL's. */
    public interface AnyService {}

    private final Rules rules = new Rules();
    private final ModuleModel module;

    private Oracle() {
        ApplicationModel application = FrameworkModel.defaultModel().newApplication();
        module = application.newModule();
        application.getApplicationConfigManager()
                .setApplication(new org.apache.dubbo.config.ApplicationConfig("oracle"));
        application.modelEnvironment().setDynamicConfiguration(rules);
        module.modelEnvironment().setDynamicConfiguration(rules);
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        LogManager.getLogManager().reset();
        Oracle oracle = new Oracle();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(oracle.decide(JSON.parseObject(line)));
        }
        System.exit(0);
    }

    private String decide(JSONObject input) {
        try {
            if (input.containsKey("mock")) {
                return Mocks.read(input.getString("mock"));
            }
            rules.replace(input.getJSONArray("rules"));
            JSONObject call = input.getJSONObject("call");
            URL consumer = consumer(call).setScopeModel(module);
            if (input.getBooleanValue("effective")) {
                return Configured.effective(
                        rules, input.getJSONArray("endpoints"), consumer, call, invocation(call));
            }
            List<Invoker<AnyService>> list = new ArrayList<>();
            for (Object url : input.getJSONArray("endpoints")) {
                list.add(new Provider<>(AnyService.class, provider((String) url)));
            }
            if (input.getBooleanValue("affinity")) {
                return Affinity.route(consumer, list, invocation(call));
            }
            forgetRouters();
            BitList<Invoker<AnyService>> invokers = new BitList<>(list);
            SingleRouterChain<AnyService> chain = RouterChain.buildSingleChain(AnyService.class, consumer);
            chain.setInvokers(invokers);
            Map<String, Integer> results = new TreeMap<>();
            int runs = Math.max(1, input.getIntValue("runs"));
            try {
                for (int run = 0; run < runs; run++) {
                    TreeSet<String> left = new TreeSet<>();
                    for (Invoker<AnyService> invoker : chain.route(consumer, invokers, invocation(call))) {
                        left.add(invoker.getUrl().getAddress());
                    }
                    results.merge(String.join(",", left), 1, Integer::sum);
                }
            } finally {
                chain.destroy();
            }
            return new JSONObject(Map.of("results", results)).toString();
        } catch (Throwable problem) {
            return new JSONObject(Map.of("error", problem.toString())).toString();
        }
    }

    /** Factories keep routers, and with them the rules of the case before. */
    private void forgetRouters() throws ReflectiveOperationException {
        Field byService = CacheableStateRouterFactory.class.getDeclaredField("routerMap");
        byService.setAccessible(true);
        Field only = AppStateRouterFactory.class.getDeclaredField("router");
        only.setAccessible(true);
        for (StateRouterFactory factory :
                module.getExtensionLoader(StateRouterFactory.class).getActivateExtensions()) {
            if (factory instanceof CacheableStateRouterFactory) {
                ((Map<?, ?>) byService.get(factory)).clear();
            } else if (factory instanceof AppStateRouterFactory) {
                only.set(factory, null);
            }
        }
    }

    /** The provider's URL as a consumer's directory holds it: with its application by another name, too. */
    private URL provider(String text) {
        URL url = URL.valueOf(text);
        String application = url.getParameter("application");
        if (application != null) {
            url = url.addParameter("remote.application", application);
        }
        return url.setScopeModel(module);
    }

    private static URL consumer(JSONObject call) {
        JSONObject consumer = call.getJSONObject("consumer");
        Map<String, String> parameters = new HashMap<>();
        JSONObject labels = consumer.getJSONObject("labels");
        if (labels != null) {
            labels.forEach((key, value) -> parameters.put(key, String.valueOf(value)));
        }
        String service = call.getString("service");
        parameters.put("application", consumer.getString("application"));
        parameters.put("interface", service);
        parameters.put("side", "consumer");
        for (String key : List.of("version", "group")) {
            String value = call.getString(key);
            if (value != null && !value.isEmpty()) {
                parameters.put(key, value);
            }
        }
        return new ServiceConfigURL("consumer", consumer.getString("address"), 0, service, parameters);
    }

    private RpcInvocation invocation(JSONObject call) {
        JSONArray types = call.getJSONArray("parameter_types");
        JSONArray values = call.getJSONArray("arguments");
        Class<?>[] classes = new Class<?>[types == null ? 0 : types.size()];
        for (int index = 0; index < classes.length; index++) {
            classes[index] = type(types.getString(index));
        }
        Object[] arguments = new Object[values == null ? 0 : values.size()];
        for (int index = 0; index < arguments.length; index++) {
            arguments[index] = argument(values.get(index));
        }
        RpcInvocation invocation = new RpcInvocation();
        invocation.setMethodName(call.getString("method"));
        invocation.setParameterTypes(classes);
        invocation.setArguments(arguments);
        invocation.setTargetServiceUniqueName(call.getString("service"));
        invocation.setServiceName(call.getString("service"));
        // What the caller sets in its context is among the call's attachments when it is routed.
        RpcContextAttachment context = RpcContext.getClientAttachment();
        context.clearAttachments();
        JSONObject attachments = call.getJSONObject("attachments");
        if (attachments != null) {
            attachments.forEach((key, value) -> {
                invocation.setAttachment(key, String.valueOf(value));
                context.setAttachment(key, String.valueOf(value));
            });
        }
        return invocation;
    }

    private static Class<?> type(String name) {
        return switch (name) {
            case "int" -> int.class;
            case "long" -> long.class;
            case "boolean" -> boolean.class;
            case "double" -> double.class;
            default -> {
                try {
                    yield Class.forName(name);
                } catch (ClassNotFoundException problem) {
                    throw new IllegalArgumentException(problem);
                }
            }
        };
    }

    private static Object argument(Object json) {
        return json instanceof java.math.BigDecimal number ? (Object) number.doubleValue() : json;
    }
}
