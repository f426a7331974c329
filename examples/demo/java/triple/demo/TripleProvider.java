package demo;

import com.google.protobuf.StringValue;

/** A provider of both services: TripleProvider CITY PORT. It needs Dubbo 3. */
public final class TripleProvider {
    public static void main(String[] args) throws InterruptedException {
        Greeter greeter = name -> StringValue.of(GreetingProvider.greeting(name.getValue(), args[0]));
        GreetingProvider.export(Greeter.class, greeter, Integer.parseInt(args[1]));
        GreetingProvider.main(args);
    }
}
