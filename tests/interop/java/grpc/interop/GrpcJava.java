package interop;

import io.grpc.testing.integration.TestServiceClient;
import io.grpc.testing.integration.TestServiceServer;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.Arrays;

/**
 * grpc-java's interoperability programs, many runs in one JVM. Each line of standard input is the
 * arguments of one run: {@code client --server_port=N --test_case=NAME …} runs a case and ends, {@code
 * server --port=N} serves until this program ends. Each is answered by one line: {@code passed}, or
 * what failed.
 *
 * <p>Their own {@code main} ends the JVM; the steps that it is made of are not public, hence the
 * reflection.
 */
public final class GrpcJava {
    public static void main(String[] args) throws Exception {
        PrintStream answers = System.out;
        // What the programs say themselves is for people.
        System.setOut(System.err);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null; ) {
            answers.println(run(line.trim().split(" ")));
            answers.flush();
        }
        System.exit(0);
    }

    private static String run(String[] words) {
        String[] args = Arrays.copyOfRange(words, 1, words.length);
        try {
            if (words[0].equals("server")) {
                TestServiceServer server = new TestServiceServer();
                step(server, "parseArgs", args);
                step(server, "start");
            } else {
                client(args);
            }
            return "passed";
        } catch (Throwable failure) {
            failure.printStackTrace();
            return failure.toString().replace('\n', ' ');
        }
    }

    private static void client(String[] args) throws Throwable {
        TestServiceClient client = new TestServiceClient();
        step(client, "parseArgs", args);
        step(client, "setUp");
        try {
            step(client, "run");
        } finally {
            step(client, "tearDown");
        }
    }

    private static void step(Object program, String name, String[]... arguments) throws Throwable {
        Class<?>[] types = new Class<?>[arguments.length];
        Arrays.fill(types, String[].class);
        Method method = program.getClass().getDeclaredMethod(name, types);
        method.setAccessible(true);
        try {
            method.invoke(program, (Object[]) arguments);
        } catch (InvocationTargetException thrown) {
            throw thrown.getCause();
        }
    }
}
