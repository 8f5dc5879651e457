import static com.openai.core.ObjectMappers.jsonMapper;

import com.fasterxml.jackson.annotation.JsonClassDescription;
import com.fasterxml.jackson.annotation.JsonTypeName;
import com.fasterxml.jackson.core.type.TypeReference;
import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.helpers.ResponseAccumulator;
import com.openai.models.responses.EasyInputMessage;
import com.openai.models.responses.Response;
import com.openai.models.responses.ResponseCreateParams;
import com.openai.models.responses.ResponseFunctionToolCall;
import com.openai.models.responses.ResponseInputContent;
import com.openai.models.responses.ResponseInputImage;
import com.openai.models.responses.ResponseInputItem;
import com.openai.models.responses.ResponseInputText;
import com.openai.models.responses.ResponseOutputItem;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;

/** OpenAI's library for Java, with its validation of responses on: a conversation, remembered in one of the ways. */
public class Talk {
  static final String BASE_URL = System.getenv("BASE_URL");
  static final String API_KEY = System.getenv("API_KEY");
  static final String MODEL = System.getenv("MODEL");
  static final Map<String, String> WORDS = readWords();

  static OpenAIClient open(String key) {
    return OpenAIOkHttpClient.builder().baseUrl(BASE_URL).apiKey(key).responseValidation(true).build();
  }

  static final OpenAIClient client = open(API_KEY);

  @JsonTypeName("get_weather")
  @JsonClassDescription("The weather of a city.")
  static class GetWeather {
    public String city;
  }

  static class Answer {
    public String answer;
  }

  final String way;
  String conversation;
  String previous;
  final List<ResponseInputItem> items = new ArrayList<>();

  Talk(String way) {
    this.way = way;
    if (way.equals("conversation")) conversation = client.conversations().create().id();
  }

  String ask(String words) {
    var text = new StringBuilder();
    Response response = send(say(words), text);
    for (ResponseOutputItem item : response.output()) {
      if (!item.isFunctionCall()) continue;
      ResponseFunctionToolCall call = item.asFunctionCall();
      String result = "21 degrees in " + call.arguments(GetWeather.class).city;
      send(
          ResponseInputItem.ofFunctionCallOutput(
              ResponseInputItem.FunctionCallOutput.builder().callId(call.callId()).output(result).build()),
          text);
    }
    return text.toString();
  }

  void leave(String words) {
    try (var stream = client.responses().createStreaming(compose(say(words)))) {
      stream.stream().filter(event -> event.isOutputTextDelta()).findFirst();
    }
    items.remove(items.size() - 1);
  }

  ResponseCreateParams compose(ResponseInputItem item) {
    items.add(item);
    var body = ResponseCreateParams.builder().model(MODEL).addTool(GetWeather.class);
    if (conversation != null) body.conversation(conversation);
    if (way.equals("previous_response_id") && previous != null) body.previousResponseId(previous);
    return body.inputOfResponse(way.equals("own history") ? items : List.of(item)).build();
  }

  Response send(ResponseInputItem item, StringBuilder text) {
    var accumulator = ResponseAccumulator.create();
    try (var stream = client.responses().createStreaming(compose(item))) {
      stream.stream()
          .map(accumulator::accumulate)
          .forEach(event -> event.outputTextDelta().ifPresent(delta -> text.append(delta.delta())));
    }
    Response response = accumulator.response();
    for (ResponseOutputItem made : response.output()) {
      made.message().map(ResponseInputItem::ofResponseOutputMessage).ifPresent(items::add);
      made.functionCall().map(ResponseInputItem::ofFunctionCall).ifPresent(items::add);
    }
    previous = response.id();
    return response;
  }

  static ResponseInputItem say(String words) {
    return ResponseInputItem.ofEasyInputMessage(
        EasyInputMessage.builder().role(EasyInputMessage.Role.USER).content(words).build());
  }

  static List<String> takeTwoTurns(String way) {
    var talk = new Talk(way);
    return List.of(talk.ask(WORDS.get("first")), talk.ask(WORDS.get("second")));
  }

  static String leaveAndAskAgain(String way) {
    var talk = new Talk(way);
    talk.ask(WORDS.get("fact"));
    talk.leave(WORDS.get("slow"));
    return talk.ask(WORDS.get("second"));
  }

  static String askOnce(OpenAIClient client, ResponseCreateParams body) {
    return client.responses().create(body).output().get(0).asMessage().content().get(0).asOutputText().text();
  }

  static ResponseCreateParams askFact(String model) {
    return ResponseCreateParams.builder().model(model).input(WORDS.get("fact")).build();
  }

  static String getData() {
    var body = ResponseCreateParams.builder().model(MODEL).input(WORDS.get("data")).text(Answer.class).build();
    return client.responses().create(body).output().get(0).asMessage().content().get(0).asOutputText().answer;
  }

  static String showImage() {
    var image =
        ResponseInputImage.builder()
            .detail(ResponseInputImage.Detail.AUTO)
            .imageUrl("data:image/png;base64," + WORDS.get("image_base64"))
            .build();
    var text = ResponseInputText.builder().text(WORDS.get("look")).build();
    var content = List.of(ResponseInputContent.ofInputText(text), ResponseInputContent.ofInputImage(image));
    var message =
        EasyInputMessage.builder()
            .role(EasyInputMessage.Role.USER)
            .contentOfResponseInputMessageContentList(content)
            .build();
    var input = List.of(ResponseInputItem.ofEasyInputMessage(message));
    return askOnce(client, ResponseCreateParams.builder().model(MODEL).inputOfResponse(input).build());
  }

  static Map<String, String> readWords() {
    try {
      return jsonMapper().readValue(System.getenv("WORDS"), new TypeReference<Map<String, String>>() {});
    } catch (Exception error) {
      throw new IllegalStateException(error);
    }
  }

  /** Prints what a step said, or what the client shows of an error: one JSON line. */
  static void report(String step, Callable<Object> act) throws Exception {
    var line = new LinkedHashMap<String, Object>(Map.of("step", step));
    try {
      line.put("detail", act.call());
      line.put("ok", true);
    } catch (Exception error) {
      line.put("detail", String.valueOf(error));
      line.put("ok", false);
    }
    System.out.println(jsonMapper().writeValueAsString(line));
  }

  public static void main(String[] arguments) throws Exception {
    var ways = List.of("own history", "previous_response_id", "conversation");
    for (String way : ways) report(way, () -> takeTwoTurns(way));
    for (String way : ways) report(way + ", left", () -> leaveAndAskAgain(way));
    report("data", Talk::getData);
    report("image", Talk::showImage);
    report("unknown model", () -> askOnce(client, askFact(WORDS.get("unknown_model"))));
    report("wrong key", () -> askOnce(open(WORDS.get("wrong_key")), askFact(MODEL)));
    System.exit(0); // a stream that was left keeps a thread for a while
  }
}
