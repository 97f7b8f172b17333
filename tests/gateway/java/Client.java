import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.stream.Stream;

/** The JDK's client without any settings: it asks each server for HTTP/2 by an upgrade. Prints status and lines of each answer. */
class Client {
    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        for (boolean stream : new boolean[] {false, true}) {
            String text = "h\u00e9".repeat(40_000);
            String body = "{\"model\": \"a\", \"stream\": " + stream
                + ", \"messages\": [{\"role\": \"user\", \"content\": \"" + text + "\"}]}";
            HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0] + "/v1/chat/completions"))
                .header("content-type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(body))
                .build();
            HttpResponse<Stream<String>> response = client.send(request, HttpResponse.BodyHandlers.ofLines());
            System.out.println(response.statusCode() + " " + response.version());
            response.body().filter(line -> !line.isEmpty()).forEach(System.out::println);
        }
    }
}
