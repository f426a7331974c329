package interop;

import java.math.BigDecimal;
import java.time.LocalDateTime;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.dubbo.rpc.RpcContext;

/** The provider's side of {@link EchoService}. */
final class Echo implements EchoService {
    private static final ScheduledExecutorService LATER = Executors.newScheduledThreadPool(2, task -> {
        Thread thread = new Thread(task, "later");
        thread.setDaemon(true);
        return thread;
    });

    private final String name;
    private final Map<String, AtomicInteger> counts = new ConcurrentHashMap<>();
    private final Map<String, Listener> listeners = new ConcurrentHashMap<>();

    Echo(String name) {
        this.name = name;
    }

    @Override
    public boolean booleanValue(boolean v) {
        return v;
    }

    @Override
    public byte byteValue(byte v) {
        return v;
    }

    @Override
    public short shortValue(short v) {
        return v;
    }

    @Override
    public int intValue(int v) {
        return v;
    }

    @Override
    public long longValue(long v) {
        return v;
    }

    @Override
    public float floatValue(float v) {
        return v;
    }

    @Override
    public double doubleValue(double v) {
        return v;
    }

    @Override
    public char charValue(char v) {
        return v;
    }

    @Override
    public String string(String v) {
        return v;
    }

    @Override
    public byte[] bytes(byte[] v) {
        return v;
    }

    @Override
    public int[] ints(int[] v) {
        return v;
    }

    @Override
    public String[] strings(String[] v) {
        return v;
    }

    @Override
    public Node[] nodes(Node[] v) {
        return v;
    }

    @Override
    public List<Object> list(List<Object> v) {
        return v;
    }

    @Override
    public Map<String, Object> map(Map<String, Object> v) {
        return v;
    }

    @Override
    public Set<String> set(Set<String> v) {
        return v;
    }

    @Override
    public Node node(Node v) {
        return v;
    }

    @Override
    public Color color(Color v) {
        return v;
    }

    @Override
    public BigDecimal decimal(BigDecimal v) {
        return v;
    }

    @Override
    public Date date(Date v) {
        return v;
    }

    @Override
    public LocalDateTime dateTime(LocalDateTime v) {
        return v;
    }

    @Override
    public Object any(Object v) {
        return v;
    }

    @Override
    public String overloaded(int v) {
        return "int " + v;
    }

    @Override
    public String overloaded(String v) {
        return "string " + v;
    }

    @Override
    public void nothing() {}

    @Override
    public String fail(String kind) throws CheckedFailure {
        switch (kind) {
            case "checked":
                throw new CheckedFailure("checked: ärger 😀", 42);
            case "runtime":
                throw new IllegalStateException("runtime failure");
            case "custom":
                throw new CustomFailure("custom failure", "E-17", new IllegalArgumentException("the cause"));
            case "error":
                throw new StackOverflowError("an error");
            default:
                return "no failure: " + kind;
        }
    }

    @Override
    public void oneWay(String key) {
        counts.computeIfAbsent(key, k -> new AtomicInteger()).incrementAndGet();
    }

    @Override
    public int oneWayCount(String key) {
        AtomicInteger count = counts.get(key);
        return count == null ? 0 : count.get();
    }

    @Override
    public CompletableFuture<String> future(String v) {
        CompletableFuture<String> answer = new CompletableFuture<>();
        LATER.schedule(() -> answer.complete("later: " + v), 20, TimeUnit.MILLISECONDS);
        return answer;
    }

    @Override
    public String sleep(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        return name;
    }

    @Override
    public String whoami() {
        return name;
    }

    @Override
    public String greet(String name, int number) {
        return this.name;
    }

    @Override
    public String attachments(String prefix) {
        Map<String, String> found = new TreeMap<>();
        RpcContext.getContext().getAttachments().forEach((key, value) -> {
            if (key.startsWith(prefix)) {
                found.put(key, value);
            }
        });
        RpcContext.getServerContext().setAttachment("answer-plain", "from the provider");
        RpcContext.getServerContext().setAttachment("answer-unicode", "für 😀");
        return found.toString();
    }

    @Override
    public String subscribe(String key, Listener listener, int times, int later) {
        listeners.put(key, listener);
        StringBuilder answers = new StringBuilder();
        for (int i = 0; i < times; i++) {
            answers.append(listener.changed(key + " during " + i)).append(';');
        }
        for (int i = 0; i < later; i++) {
            int number = i;
            LATER.schedule(() -> listener.changed(key + " after " + number), 50L * (i + 1), TimeUnit.MILLISECONDS);
        }
        return answers.toString();
    }

    @Override
    public void unsubscribe(String key, Listener listener) {
        listeners.remove(key);
    }
}
