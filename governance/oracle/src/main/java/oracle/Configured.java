package oracle;

import com.alibaba.fastjson2.JSONArray;
import com.alibaba.fastjson2.JSONObject;
import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import org.apache.dubbo.common.URL;
import org.apache.dubbo.common.URLBuilder;
import org.apache.dubbo.common.config.configcenter.DynamicConfiguration;
import org.apache.dubbo.common.url.component.DubboServiceAddressURL;
import org.apache.dubbo.common.url.component.ServiceConfigURL;
import org.apache.dubbo.common.utils.ConfigUtils;
import org.apache.dubbo.common.utils.NetUtils;
import org.apache.dubbo.rpc.Invocation;
import org.apache.dubbo.rpc.Invoker;
import org.apache.dubbo.rpc.cluster.Configurator;
import org.apache.dubbo.rpc.cluster.configurator.parser.ConfigParser;
import org.apache.dubbo.rpc.cluster.loadbalance.ConsistentHashLoadBalance;

/**
 * What configurators make of providers for a consumer, as RegistryDirectory has it done: the
 * application's first, then the service's own.
 */
final class Configured {
    private Configured() {}

    static String effective(
            Rules rules, JSONArray endpoints, URL consumer, JSONObject call, Invocation invocation)
            throws ReflectiveOperationException {
        // Consumers are known by their own host's address.
        Field host = NetUtils.class.getDeclaredField("HOST_ADDRESS");
        host.setAccessible(true);
        host.set(null, consumer.getHost());
        String method = call.getString("method");
        URL own = configure(rules, consumer);
        Map<String, Object> effective = new TreeMap<>();
        List<Invoker<Oracle.AnyService>> invokers = new ArrayList<>();
        for (Object text : endpoints) {
            DubboServiceAddressURL provider =
                    DubboServiceAddressURL.valueOf(URL.encode((String) text), consumer);
            URL url = overridden(rules, provider);
            if (!url.getParameter("enabled", true) || url.getParameter("disabled", false)) {
                continue;
            }
            String balance = url.getMethodParameter(method, "loadbalance", "random");
            String cluster = own.getParameter("cluster", "failover");
            Map<String, Object> terms = new TreeMap<>(Map.of(
                    "timeout_ms", url.getMethodPositiveParameter(method, "timeout", 1000),
                    "weight", Math.max(0, url.getMethodParameter(method, "weight", 100)),
                    "loadbalance", balance,
                    "retries", Math.max(0, own.getMethodParameter(method, "retries", 2)),
                    "cluster", cluster));
            if (balance.equals("consistenthash")) {
                put(terms, "hash_nodes", url.getMethodParameter(method, "hash.nodes"), Integer::valueOf);
                put(terms, "hash_arguments", url.getMethodParameter(method, "hash.arguments"), list -> list);
            }
            put(terms, "sticky", url.getMethodParameter(method, "sticky"), Boolean::valueOf);
            put(terms, "actives", url.getMethodParameter(method, "actives"), Integer::valueOf);
            if (cluster.equals("forking")) {
                terms.put("forks", own.getParameter("forks", 2));
            } else if (cluster.equals("broadcast")) {
                terms.put("fail_percent", own.getParameter("broadcast.fail.percent", 100));
            }
            String mock = own.getMethodParameter(method, "mock", "false").trim();
            if (!ConfigUtils.isEmpty(mock)) {
                terms.put("mock", mock);
            }
            effective.put(provider.getAddress(), terms);
            invokers.add(new Provider<>(Oracle.AnyService.class, url));
        }
        if (invokers.isEmpty()) {
            return new JSONObject(Map.of("effective", effective)).toString();
        }
        String balance = invokers.get(0).getUrl().getMethodParameter(method, "loadbalance", "random");
        // That cluster asks no balancer.
        if (balance.equals("consistenthash") && !own.getParameter("cluster", "").equals("available")) {
            Invoker<?> picked = new ConsistentHashLoadBalance().select(invokers, own, invocation);
            return new JSONObject(Map.of("effective", effective, "picked", picked.getUrl().getAddress()))
                    .toString();
        }
        return new JSONObject(Map.of("effective", effective)).toString();
    }

    /**
     * RegistryDirectory shows configurators an address with four parameters and what others have
     * set, and puts what they make of it before the provider's own parameters.
     */
    private static URL overridden(Rules rules, DubboServiceAddressURL provider) {
        URL bare = URLBuilder.from(provider)
                .clearParameters()
                .addParameter("application", provider.getApplication())
                .addParameter("side", provider.getSide())
                .addParameter("group", provider.getGroup())
                .addParameter("version", provider.getVersion())
                .build();
        return new DubboServiceAddressURL(
                provider.getUrlAddress(),
                provider.getUrlParam(),
                provider.getConsumerURL(),
                (ServiceConfigURL) configure(rules, bare));
    }

    private static void put(
            Map<String, Object> terms, String key, String text, Function<String, Object> read) {
        if (text != null) {
            terms.put(key, read.apply(text));
        }
    }

    private static URL configure(Rules rules, URL url) {
        String service = DynamicConfiguration.getRuleKey(url);
        URL result = url;
        for (String key : List.of(url.getApplication(), service)) {
            String text = rules.getConfig(key + ".configurators", "dubbo", 0);
            if (text == null) {
                continue;
            }
            List<Configurator> configurators;
            try {
                configurators = Configurator.toConfigurators(ConfigParser.parseConfigurators(text))
                        .orElse(List.of());
            } catch (RuntimeException refused) {
                continue;
            }
            for (Configurator configurator : configurators) {
                result = configurator.configure(result);
            }
        }
        return result;
    }
}
