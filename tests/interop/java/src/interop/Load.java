package interop;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Steady calls from several threads until it is stopped. */
final class Load {
    private static final int FAILURES_KEPT = 5;

    private final List<Thread> threads = new ArrayList<>();
    private final Map<String, Integer> answers = new TreeMap<>();
    private final List<String> failures = new ArrayList<>();
    private int failed;
    private volatile boolean stopping;

    Load(EchoService service, int threadCount, int millis) {
        for (int i = 0; i < threadCount; i++) {
            Thread thread = new Thread(() -> run(service, millis), "load-" + i);
            threads.add(thread);
            thread.start();
        }
    }

    private void run(EchoService service, int millis) {
        while (!stopping) {
            String who = null;
            String failure = null;
            try {
                who = service.sleep(millis);
                // A pause keeps a test from being a benchmark on a small machine.
                Thread.sleep(2);
            } catch (Throwable e) {
                failure = Text.failure(e);
            }
            synchronized (this) {
                if (failure == null) {
                    answers.merge(who, 1, Integer::sum);
                } else {
                    failed++;
                    if (failures.size() < FAILURES_KEPT) {
                        failures.add(failure);
                    }
                }
            }
        }
    }

    JsonObject stop() throws InterruptedException {
        stopping = true;
        for (Thread thread : threads) {
            thread.join();
        }
        JsonArray texts = new JsonArray();
        failures.forEach(texts::add);
        JsonObject answer = Json.ok();
        answer.add("answers", Json.counts(answers));
        answer.addProperty("failed", failed);
        answer.add("failures", texts);
        return answer;
    }
}
