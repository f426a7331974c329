package interop;

import interop.greeter.Greeting;
import interop.greeter.Person;
import org.apache.dubbo.common.stream.StreamObserver;

/** The provider's side of {@link GreeterService}. */
final class Greeter implements GreeterService {
    @Override
    public Greeting greet(Person person) {
        return greeting(person.getName());
    }

    @Override
    public void greetOften(Person person, StreamObserver<Greeting> greetings) {
        for (int i = 0; i < person.getTimes(); i++) {
            greetings.onNext(greeting(person.getName() + " " + i));
        }
        greetings.onCompleted();
    }

    @Override
    public StreamObserver<Person> greetTogether(StreamObserver<Greeting> greetings) {
        StringBuilder names = new StringBuilder();
        return Streams.reader(
                person -> names.append(names.length() == 0 ? "" : ", ").append(person.getName()),
                () -> {
                    greetings.onNext(greeting(names.toString()));
                    greetings.onCompleted();
                },
                failure -> {});
    }

    @Override
    public StreamObserver<Person> greetEach(StreamObserver<Greeting> greetings) {
        return Streams.reader(
                person -> greetings.onNext(greeting(person.getName())), greetings::onCompleted, failure -> {});
    }

    private static Greeting greeting(String name) {
        return Greeting.newBuilder().setText("hello " + name).build();
    }
}
