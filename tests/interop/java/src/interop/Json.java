package interop;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Commands in, answers out: one JSON object a line. Standard output carries
 * nothing else; whatever a library prints there goes to standard error.
 */
final class Json {
    private static final Gson GSON = new GsonBuilder().disableHtmlEscaping().create();
    private static final PrintStream ANSWERS = System.out;

    private Json() {}

    /** Does a command. */
    interface Handler {
        JsonObject handle(JsonObject command) throws Exception;
    }

    /** Handles commands until the input ends: the parent's death ends this process too. */
    static void serve(Handler handler) throws IOException {
        System.setOut(System.err);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonObject answer;
            try {
                answer = handler.handle(GSON.fromJson(line, JsonObject.class));
            } catch (Throwable e) {
                e.printStackTrace();
                answer = new JsonObject();
                answer.addProperty("error", Text.failure(e));
            }
            byte[] bytes = (GSON.toJson(answer) + "\n").getBytes(StandardCharsets.UTF_8);
            ANSWERS.write(bytes, 0, bytes.length);
            ANSWERS.flush();
        }
    }

    static JsonObject ok() {
        JsonObject answer = new JsonObject();
        answer.addProperty("ok", true);
        return answer;
    }

    static String string(JsonObject o, String key, String otherwise) {
        JsonElement value = o.get(key);
        return value == null || value.isJsonNull() ? otherwise : value.getAsString();
    }

    static int number(JsonObject o, String key, int otherwise) {
        JsonElement value = o.get(key);
        return value == null || value.isJsonNull() ? otherwise : value.getAsInt();
    }

    static boolean flag(JsonObject o, String key) {
        JsonElement value = o.get(key);
        return value != null && !value.isJsonNull() && value.getAsBoolean();
    }

    static Map<String, String> map(JsonObject o, String key) {
        Map<String, String> map = new LinkedHashMap<>();
        if (o.get(key) != null) {
            o.getAsJsonObject(key).entrySet().forEach(e -> map.put(e.getKey(), e.getValue().getAsString()));
        }
        return map;
    }

    static JsonObject counts(Map<String, Integer> counts) {
        JsonObject object = new JsonObject();
        counts.forEach(object::addProperty);
        return object;
    }

    static String[] strings(JsonObject o, String key) {
        JsonArray array = o.get(key) == null ? new JsonArray() : o.getAsJsonArray(key);
        String[] strings = new String[array.size()];
        for (int i = 0; i < strings.length; i++) {
            strings[i] = array.get(i).getAsString();
        }
        return strings;
    }
}
