package interop;

import interop.greeter.Greeting;
import interop.greeter.Person;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.apache.dubbo.common.stream.StreamObserver;
import org.apache.dubbo.rpc.protocol.tri.CancelableStreamObserver;

/** Calls in all four shapes, each under a name, with what the caller saw as a text. */
final class StreamCases {
    private final Map<String, String> seen = new LinkedHashMap<>();

    static Map<String, String> run(StreamService service) {
        StreamCases cases = new StreamCases();
        for (int limit : new int[] {0, 1, 5, 2000}) {
            cases.<String>see("server stream " + limit, answers -> service.count(limit, answers));
        }
        cases.<String>see("server stream that fails", answers -> service.countAndFail(3, answers));
        cases.<String>see("server stream that fails at once", answers -> service.countAndFail(0, answers));
        cases.<String>see("client stream", answers -> {
            StreamObserver<Node> sent = service.collect(answers);
            sent.onNext(new Node("a", 1, null));
            sent.onNext(new Node("b", 2, 3L));
            sent.onCompleted();
        });
        cases.<String>see("client stream of 1000", answers -> {
            StreamObserver<Node> sent = service.collect(answers);
            for (int i = 0; i < 1000; i++) {
                sent.onNext(new Node("n" + i, i, null));
            }
            sent.onCompleted();
        });
        cases.seen.put("bidirectional", talk(service));
        cases.seen.put("cancelled", cancel(service));
        return cases.seen;
    }

    static Map<String, String> run(GreeterService service) {
        StreamCases cases = new StreamCases();
        cases.seen.put("unary", service.greet(person("Ärger 😀", 0)).getText());
        cases.<Greeting>see("server stream", answers -> service.greetOften(person("a", 3), answers));
        cases.<Greeting>see("client stream", answers -> {
            StreamObserver<Person> sent = service.greetTogether(answers);
            sent.onNext(person("a", 0));
            sent.onNext(person("b", 0));
            sent.onCompleted();
        });
        cases.<Greeting>see("bidirectional", answers -> {
            StreamObserver<Person> sent = service.greetEach(answers);
            sent.onNext(person("a", 0));
            sent.onNext(person("b", 0));
            sent.onCompleted();
        });
        return cases.seen;
    }

    static Person person(String name, int times) {
        return Person.newBuilder().setName(name).setTimes(times).build();
    }

    /** What a call's observer is told until the end. */
    static String told(Consumer<StreamObserver<Object>> call) {
        BlockingQueue<String> events = new LinkedBlockingQueue<>();
        try {
            call.accept(observer(events));
        } catch (Throwable e) {
            return "threw " + Text.failure(e);
        }
        StringBuilder all = new StringBuilder();
        int messages = 0;
        while (true) {
            String event = next(events);
            if (event.startsWith("next ")) {
                messages++;
            }
            if (messages < 10 || !event.startsWith("next ")) {
                all.append(event).append("; ");
            }
            if (!event.startsWith("next ")) {
                return messages + " messages: " + all;
            }
        }
    }

    @SuppressWarnings("unchecked")
    private <T> void see(String name, Consumer<StreamObserver<T>> call) {
        seen.put(name, told(answers -> call.accept((StreamObserver<T>) (StreamObserver<?>) answers)));
    }

    /** Says the next only when the last was answered: nothing may wait for the end. */
    private static String talk(StreamService service) {
        BlockingQueue<String> events = new LinkedBlockingQueue<>();
        StreamObserver<String> sent = service.chat((StreamObserver<String>) (StreamObserver<?>) observer(events));
        StringBuilder all = new StringBuilder();
        for (int i = 0; i < 20; i++) {
            sent.onNext("word " + i);
            all.append(next(events)).append("; ");
        }
        sent.onCompleted();
        return all.append(next(events)).toString();
    }

    /** Goes away in the middle; the provider is to learn it. */
    private static String cancel(StreamService service) {
        String key = "tick-" + System.nanoTime();
        BlockingQueue<String> events = new LinkedBlockingQueue<>();
        StreamObserver<Object> inner = observer(events);
        CancelableStreamObserver<String> ticks = new CancelableStreamObserver<String>() {
            @Override
            public void onNext(String tick) {
                inner.onNext(tick);
            }

            @Override
            public void onError(Throwable failure) {
                inner.onError(failure);
            }

            @Override
            public void onCompleted() {
                inner.onCompleted();
            }
        };
        service.tick(key, ticks);
        String first = next(events);
        ticks.cancel(new IllegalStateException("enough"));
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
        while (!service.cancelled(key)) {
            if (System.nanoTime() > deadline) {
                return first + ", and the provider never learned";
            }
            try {
                Thread.sleep(20);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
        return first + ", and the provider learned";
    }

    private static String next(BlockingQueue<String> events) {
        try {
            String event = events.poll(15, TimeUnit.SECONDS);
            return event == null ? "nothing for 15 s" : event;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return "interrupted";
        }
    }

    private static StreamObserver<Object> observer(BlockingQueue<String> events) {
        return Streams.reader(
                message -> events.add("next " + (message instanceof Greeting ? ((Greeting) message).getText() : Text.of(message))),
                () -> events.add("end"),
                failure -> events.add("failed " + Text.failure(failure)));
    }
}
