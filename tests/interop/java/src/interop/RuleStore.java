package interop;

import com.google.gson.JsonObject;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.apache.dubbo.common.URL;
import org.apache.dubbo.common.config.configcenter.ConfigChangeType;
import org.apache.dubbo.common.config.configcenter.DynamicConfiguration;
import org.apache.dubbo.common.config.configcenter.DynamicConfigurationFactory;
import org.apache.dubbo.common.extension.ExtensionLoader;
import org.apache.dubbo.rpc.model.ApplicationModel;

/**
 * Rules in the config center of this very consumer ({@code -Ddubbo.config-center.address}), written by Dubbo's own
 * means.
 *
 * <p>A change counts as done once it came back by the watch: a listener of ours stands behind those of the routers
 * of the same key, which one thread tells in the order in which they came.
 */
final class RuleStore {
    private static final int PATIENCE_SECONDS = 20;
    /** What an event says of a key that is gone. */
    private static final String GONE = "";

    private final Map<String, BlockingQueue<String>> seen = new ConcurrentHashMap<>();
    private DynamicConfiguration written;

    /** Writes a rule, or removes it ({@code text} is null), and waits until the routers of this process know. */
    JsonObject set(String key, String text) throws Exception {
        // What the consumer reads from is a composite, whose removeConfig does nothing and says that it did.
        DynamicConfiguration watched = ApplicationModel.getEnvironment()
                .getDynamicConfiguration()
                .orElseThrow(() -> new IllegalStateException("this consumer has no config center"));
        if (written == null) {
            URL url = URL.valueOf(System.getProperty("dubbo.config-center.address"));
            written = ExtensionLoader.getExtensionLoader(DynamicConfigurationFactory.class)
                    .getExtension(url.getProtocol())
                    .getDynamicConfiguration(url);
        }
        BlockingQueue<String> texts = seen.computeIfAbsent(key, k -> {
            BlockingQueue<String> queue = new ArrayBlockingQueue<>(100);
            watched.addListener(key, event -> queue.offer(
                    event.getChangeType() == ConfigChangeType.DELETED ? GONE : Objects.toString(event.getContent(), GONE)));
            return queue;
        });
        boolean done = text == null
                ? written.removeConfig(key, DynamicConfiguration.DEFAULT_GROUP)
                : written.publishConfig(key, DynamicConfiguration.DEFAULT_GROUP, text);
        if (!done) {
            throw new IllegalStateException(key + " cannot be written");
        }
        String wanted = text == null ? GONE : text;
        String last = null;
        while (!wanted.equals(last)) {
            last = texts.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
            if (last == null) {
                throw new IllegalStateException("the watch of " + key + " says nothing");
            }
        }
        return Json.ok();
    }
}
