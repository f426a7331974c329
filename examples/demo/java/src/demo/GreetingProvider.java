package demo;

import java.util.Collections;
import org.apache.dubbo.common.Version;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;

/** A provider as anybody writes it: GreetingProvider CITY PORT. The same for Dubbo 3.3 and 2.7. */
public final class GreetingProvider {
    private static final ApplicationConfig APPLICATION = new ApplicationConfig("greeting");

    public static void main(String[] args) throws InterruptedException {
        String city = args[0];
        export(GreetingService.class, name -> greeting(name, city), Integer.parseInt(args[1]));
        System.out.println(city + " is ready");
        Thread.currentThread().join();
    }

    static <T> void export(Class<T> type, T implementation, int port) {
        APPLICATION.setQosEnable(false);
        ServiceConfig<T> service = new ServiceConfig<>();
        service.setApplication(APPLICATION);
        // The sidecar registers this application. One that has a registry keeps it
        // and is started with -Ddubbo.provider.register=false.
        service.setRegistry(new RegistryConfig("N/A"));
        ProtocolConfig protocol = new ProtocolConfig("dubbo", port);
        // 3.3 answers Triple on the same port; 2.7 does not know the parameter.
        protocol.setParameters(Collections.singletonMap("ext.protocol", "tri"));
        service.setProtocol(protocol);
        service.setInterface(type);
        service.setRef(implementation);
        service.export();
    }

    static String greeting(String name, String city) {
        work();
        return "hello " + name + ", this is " + city + " on Dubbo " + Version.getVersion();
    }

    /** Long enough that some calls are always under way. */
    private static void work() {
        try {
            Thread.sleep(50);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
