import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Calls with Java's own HTTP client, which asks for HTTP/2 by an upgrade unless it is told
 * otherwise: {@code java HttpCalls.java PORT}. Says the version and status of each answer,
 * and its body.
 */
class HttpCalls {
    public static void main(String[] arguments) throws Exception {
        String base = "http://127.0.0.1:" + arguments[0];
        HttpClient client = HttpClient.newHttpClient();
        HttpRequest post = HttpRequest.newBuilder(URI.create(base + "/post"))
                .POST(BodyPublishers.ofString("hello"))
                .build();
        HttpRequest get = HttpRequest.newBuilder(URI.create(base + "/get")).build();
        for (HttpRequest request : new HttpRequest[] {post, get, post}) {
            HttpResponse<String> answer = client.send(request, BodyHandlers.ofString());
            System.out.print(answer.version() + " " + answer.statusCode() + " " + answer.body());
        }
        // Many at once, with bodies larger than a window.
        var many = IntStream.range(0, 100)
                .mapToObj(number -> HttpRequest.newBuilder(URI.create(base + "/many"))
                        .POST(BodyPublishers.ofString("x".repeat(number * 1000)))
                        .build())
                .map(request -> client.sendAsync(request, BodyHandlers.ofString()))
                .collect(Collectors.toList());
        Map<String, Long> answers = many.stream()
                .map(CompletableFuture::join)
                .collect(Collectors.groupingBy(
                        answer -> answer.version() + " " + answer.statusCode(),
                        Collectors.counting()));
        System.out.println(answers);
    }
}
