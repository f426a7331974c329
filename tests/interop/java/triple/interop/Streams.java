package interop;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import org.apache.dubbo.common.stream.StreamObserver;
import org.apache.dubbo.rpc.RpcContext;
import org.apache.dubbo.rpc.RpcException;

/** The provider's side of {@link StreamService}. */
final class Streams implements StreamService {
    private final Map<String, Boolean> cancelled = new ConcurrentHashMap<>();

    @Override
    public void count(Integer limit, StreamObserver<String> numbers) {
        for (int i = 0; i < limit; i++) {
            numbers.onNext("number " + i);
        }
        numbers.onCompleted();
    }

    @Override
    public void tick(String key, StreamObserver<String> ticks) {
        cancelled.put(key, false);
        RpcContext.getCancellationContext().addListener(context -> cancelled.put(key, true));
        Thread ticker = new Thread(() -> {
            try {
                for (int i = 0; i < 600 && !cancelled.get(key); i++) {
                    ticks.onNext("tick " + i);
                    Thread.sleep(50);
                }
                ticks.onCompleted();
            } catch (Exception e) {
                cancelled.put(key, true);
            }
        });
        ticker.setDaemon(true);
        ticker.start();
    }

    @Override
    public boolean cancelled(String key) {
        return cancelled.getOrDefault(key, false);
    }

    @Override
    public void countAndFail(Integer limit, StreamObserver<String> numbers) {
        for (int i = 0; i < limit; i++) {
            numbers.onNext("number " + i);
        }
        numbers.onError(new RpcException(RpcException.FORBIDDEN_EXCEPTION, "no more: für heute"));
    }

    @Override
    public StreamObserver<Node> collect(StreamObserver<String> answer) {
        StringBuilder names = new StringBuilder();
        return reader(
                node -> names.append(node == null ? "null" : node.getName()).append(';'),
                () -> {
                    answer.onNext(names.toString());
                    answer.onCompleted();
                },
                failure -> {});
    }

    @Override
    public StreamObserver<String> chat(StreamObserver<String> answers) {
        return reader(
                text -> answers.onNext("re: " + text), answers::onCompleted, failure -> {});
    }

    /** An observer of three functions. */
    static <T> StreamObserver<T> reader(Consumer<T> next, Runnable end, Consumer<Throwable> failed) {
        return new StreamObserver<T>() {
            @Override
            public void onNext(T message) {
                next.accept(message);
            }

            @Override
            public void onError(Throwable failure) {
                failed.accept(failure);
            }

            @Override
            public void onCompleted() {
                end.run();
            }
        };
    }
}
