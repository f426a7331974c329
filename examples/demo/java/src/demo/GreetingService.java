package demo;

/** What the consumer calls. */
public interface GreetingService {
    String greet(String name);
}
