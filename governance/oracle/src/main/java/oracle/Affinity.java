package oracle;

import com.alibaba.fastjson2.JSONObject;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.apache.dubbo.common.URL;
import org.apache.dubbo.rpc.Invocation;
import org.apache.dubbo.rpc.Invoker;
import org.apache.dubbo.rpc.cluster.router.affinity.config.AffinityServiceStateRouter;
import org.apache.dubbo.rpc.cluster.router.state.BitList;
import org.apache.dubbo.rpc.cluster.router.state.TailStateRouter;

/** The affinity router of a service, which Dubbo has and never loads. */
final class Affinity {
    private Affinity() {}

    static <T> String route(URL consumer, List<Invoker<T>> invokers, Invocation invocation) {
        AffinityServiceStateRouter<T> router = new AffinityServiceStateRouter<>(consumer);
        router.setNextRouter(TailStateRouter.getInstance());
        TreeSet<String> left = new TreeSet<>();
        for (Invoker<T> invoker : router.route(new BitList<>(invokers), consumer, invocation, false, null)) {
            left.add(invoker.getUrl().getAddress());
        }
        // Documented as a preference, which never leaves nobody.
        if (left.isEmpty()) {
            for (Invoker<T> invoker : invokers) {
                left.add(invoker.getUrl().getAddress());
            }
        }
        return new JSONObject(Map.of("results", Map.of(String.join(",", left), 1))).toString();
    }
}
