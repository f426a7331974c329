package oracle;

import com.alibaba.fastjson2.JSONObject;
import com.alibaba.fastjson2.JSONWriter;
import java.util.HashMap;
import java.util.Map;
import org.apache.dubbo.common.utils.ConfigUtils;
import org.apache.dubbo.rpc.support.MockInvoker;

/** What Dubbo makes of a mock parameter, as MockClusterInvoker and MockInvoker go about it. */
final class Mocks {
    private Mocks() {}

    static String read(String text) throws Exception {
        Map<String, Object> result = new HashMap<>();
        String value = text.trim();
        if (ConfigUtils.isEmpty(value)) {
            return "{}";
        }
        result.put("force", value.startsWith("force"));
        String normal = MockInvoker.normalizeMock(value);
        if (normal.startsWith("return ")) {
            result.put("return", MockInvoker.parseMockValue(normal.substring("return ".length()).trim()));
        } else if (normal.startsWith("throw")) {
            result.put("throw", normal.substring("throw".length()).trim());
        } else {
            return "{}";
        }
        return JSONObject.toJSONString(result, JSONWriter.Feature.WriteMapNullValue);
    }
}
