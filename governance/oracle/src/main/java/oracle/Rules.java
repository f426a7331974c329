package oracle;

import com.alibaba.fastjson2.JSONArray;
import com.alibaba.fastjson2.JSONObject;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.dubbo.common.config.configcenter.ConfigurationListener;
import org.apache.dubbo.common.config.configcenter.DynamicConfiguration;

/** A config centre that holds the rules of the case at hand. */
final class Rules implements DynamicConfiguration {
    private final Map<String, String> texts = new HashMap<>();

    void replace(JSONArray rules) {
        texts.clear();
        for (int index = 0; index < rules.size(); index++) {
            JSONObject rule = rules.getJSONObject(index);
            texts.put(rule.getString("key"), rule.getString("text"));
        }
    }

    @Override
    public void addListener(String key, String group, ConfigurationListener listener) {}

    @Override
    public void removeListener(String key, String group, ConfigurationListener listener) {}

    @Override
    public String getConfig(String key, String group, long timeout) {
        return texts.get(key);
    }

    @Override
    public Object getInternalProperty(String key) {
        return null;
    }

    @Override
    public boolean publishConfig(String key, String group, String content) {
        return false;
    }

    public Set<String> getConfigKeys(String group) {
        return new TreeSet<>(texts.keySet());
    }
}
