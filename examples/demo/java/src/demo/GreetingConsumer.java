package demo;

import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.RegistryConfig;

/** A consumer as anybody writes it. It calls from a few threads until it is ended, and prints each answer. */
public final class GreetingConsumer {
    private static final int THREADS = 6;

    public static void main(String[] args) {
        ApplicationConfig application = new ApplicationConfig("visitor");
        application.setQosEnable(false);

        // No url: -Ddemo.GreetingService=dubbo://HOST:PORT points at the sidecar.
        ReferenceConfig<GreetingService> reference = new ReferenceConfig<>();
        reference.setApplication(application);
        reference.setRegistry(new RegistryConfig("N/A"));
        reference.setInterface(GreetingService.class);
        // A failed call shall be seen, not repeated.
        reference.setRetries(0);
        GreetingService greeting = reference.get();

        for (int i = 0; i < THREADS; i++) {
            String name = "visitor " + i;
            new Thread(() -> visit(greeting, name)).start();
        }
    }

    private static void visit(GreetingService greeting, String name) {
        while (true) {
            try {
                System.out.println(greeting.greet(name));
                Thread.sleep(50);
            } catch (InterruptedException e) {
                return;
            } catch (RuntimeException e) {
                System.out.println("FAILED " + e);
            }
        }
    }
}
