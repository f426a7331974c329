package interop;

import java.math.BigDecimal;
import java.time.LocalDateTime;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;

/** What the peers call on each other: one method per thing that must survive the way. */
public interface EchoService {
    boolean booleanValue(boolean v);

    byte byteValue(byte v);

    short shortValue(short v);

    int intValue(int v);

    long longValue(long v);

    float floatValue(float v);

    double doubleValue(double v);

    char charValue(char v);

    String string(String v);

    byte[] bytes(byte[] v);

    int[] ints(int[] v);

    String[] strings(String[] v);

    Node[] nodes(Node[] v);

    List<Object> list(List<Object> v);

    Map<String, Object> map(Map<String, Object> v);

    Set<String> set(Set<String> v);

    Node node(Node v);

    Color color(Color v);

    BigDecimal decimal(BigDecimal v);

    Date date(Date v);

    LocalDateTime dateTime(LocalDateTime v);

    Object any(Object v);

    /** The argument types decide which of the two is called. */
    String overloaded(int v);

    String overloaded(String v);

    void nothing();

    /** Throws what {@code kind} names: checked, runtime, custom, error; else returns. */
    String fail(String kind) throws CheckedFailure;

    /** Called one-way: counts {@code key}. */
    void oneWay(String key);

    /** How often {@link #oneWay} was called with {@code key}. */
    int oneWayCount(String key);

    CompletableFuture<String> future(String v);

    /** Answers with the provider's name, after so many milliseconds. */
    String sleep(long millis);

    /** The provider's name. */
    String whoami();

    /** The provider's name, whatever it is told. */
    String greet(String name, int number);

    /** The request's attachments whose keys start with {@code prefix}, sorted; answers with two of its own. */
    String attachments(String prefix);

    /** Calls {@code listener} {@code times} times before it returns, then {@code later} times after. */
    String subscribe(String key, Listener listener, int times, int later);

    /** Forgets the listener of {@code key} on both sides. */
    void unsubscribe(String key, Listener listener);

    /** A callback argument. */
    interface Listener {
        String changed(String text);
    }

    enum Color {
        RED,
        GREEN {
            @Override
            public String toString() {
                return "green with a body";
            }
        }
    }
}
