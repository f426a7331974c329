package interop;

import org.apache.dubbo.common.stream.StreamObserver;

/** Java values in streams: each message is wrapped as a call's arguments are. */
public interface StreamService {
    /** Numbers below {@code limit}. */
    void count(Integer limit, StreamObserver<String> numbers);

    /** Numbers until the caller goes away, slowly; see {@link #cancelled}. */
    void tick(String key, StreamObserver<String> ticks);

    /** Whether the caller of {@link #tick} went away. */
    boolean cancelled(String key);

    /** A few numbers, then an error. */
    void countAndFail(Integer limit, StreamObserver<String> numbers);

    /** Everything sent, as one answer after the end. */
    StreamObserver<Node> collect(StreamObserver<String> answer);

    /** An answer for each message, as it comes. */
    StreamObserver<String> chat(StreamObserver<String> answers);
}
