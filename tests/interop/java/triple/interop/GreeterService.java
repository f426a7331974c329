package interop;

import interop.greeter.Greeting;
import interop.greeter.Person;
import org.apache.dubbo.common.stream.StreamObserver;

/** Protobuf messages in and out, in all four shapes. */
public interface GreeterService {
    Greeting greet(Person person);

    /** So many greetings as the person says. */
    void greetOften(Person person, StreamObserver<Greeting> greetings);

    /** One greeting for all, when the last has come. */
    StreamObserver<Person> greetTogether(StreamObserver<Greeting> greetings);

    /** A greeting for each, as they come. */
    StreamObserver<Person> greetEach(StreamObserver<Greeting> greetings);
}
