package interop;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.handler.codec.http2.DefaultHttp2FrameReader;
import io.netty.handler.codec.http2.Http2FrameAdapter;
import io.netty.handler.codec.http2.Http2Headers;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.List;

/** Stands between a consumer and a provider, passes every byte on as it is, and remembers the HTTP/2 frames in them. */
final class Recorder {
    /** {@code PRI * HTTP/2.0} and so on: comes before a client's first frame. */
    private static final int PREFACE = 24;

    private final ServerSocket listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    private final int upstream;
    private final List<JsonObject> frames = new ArrayList<>();

    Recorder(int upstream) throws IOException {
        this.upstream = upstream;
        daemon(this::accept);
    }

    int port() {
        return listener.getLocalPort();
    }

    /** What has passed since the last time: HEADERS, DATA and RST_STREAM of both directions, in order of arrival. */
    List<JsonObject> take() {
        synchronized (frames) {
            List<JsonObject> taken = new ArrayList<>(frames);
            frames.clear();
            return taken;
        }
    }

    private void accept() throws IOException {
        while (true) {
            Socket client = listener.accept();
            Socket server = new Socket(InetAddress.getLoopbackAddress(), upstream);
            daemon(() -> copy(client.getInputStream(), server.getOutputStream(), new Side("client", PREFACE)));
            daemon(() -> copy(server.getInputStream(), client.getOutputStream(), new Side("server", 0)));
        }
    }

    private static void copy(InputStream from, OutputStream to, Side side) throws IOException {
        byte[] bytes = new byte[64 << 10];
        try (OutputStream out = to) {
            for (int read = from.read(bytes); read >= 0; read = from.read(bytes)) {
                // Remembered first: the answer to it must come after it.
                side.read(bytes, read);
                out.write(bytes, 0, read);
                out.flush();
            }
        }
    }

    /** One direction of a connection. */
    private final class Side extends Http2FrameAdapter {
        private final String from;
        private final DefaultHttp2FrameReader reader = new DefaultHttp2FrameReader();
        private final ChannelHandlerContext context =
                new EmbeddedChannel(new ChannelInboundHandlerAdapter()).pipeline().firstContext();
        private final ByteBuf unread = Unpooled.buffer();
        private int preface;

        Side(String from, int preface) {
            this.from = from;
            this.preface = preface;
        }

        void read(byte[] bytes, int count) {
            unread.writeBytes(bytes, 0, count);
            int skipped = Math.min(preface, unread.readableBytes());
            unread.skipBytes(skipped);
            preface -= skipped;
            try {
                while (isWhole()) {
                    reader.readFrame(context, unread, this);
                }
            } catch (Exception e) {
                throw new IllegalStateException("the " + from + " wrote what is no HTTP/2", e);
            }
            unread.discardReadBytes();
        }

        private boolean isWhole() {
            return preface == 0
                    && unread.readableBytes() >= 9
                    && unread.readableBytes() >= 9 + unread.getUnsignedMedium(unread.readerIndex());
        }

        @Override
        public void onHeadersRead(ChannelHandlerContext ctx, int stream, Http2Headers headers, int padding, boolean end) {
            JsonArray lines = new JsonArray();
            headers.forEach(entry -> {
                JsonArray line = new JsonArray();
                line.add(entry.getKey().toString());
                line.add(entry.getValue().toString());
                lines.add(line);
            });
            JsonObject frame = frame(stream, end);
            frame.add("headers", lines);
            add(frame);
        }

        @Override
        public void onHeadersRead(
                ChannelHandlerContext ctx, int stream, Http2Headers headers, int dependency, short weight, boolean exclusive, int padding, boolean end) {
            onHeadersRead(ctx, stream, headers, padding, end);
        }

        @Override
        public int onDataRead(ChannelHandlerContext ctx, int stream, ByteBuf data, int padding, boolean end) {
            JsonObject frame = frame(stream, end);
            frame.addProperty("data", ByteBufUtil.hexDump(data));
            add(frame);
            return data.readableBytes() + padding;
        }

        @Override
        public void onRstStreamRead(ChannelHandlerContext ctx, int stream, long error) {
            JsonObject frame = frame(stream, true);
            frame.addProperty("reset", error);
            add(frame);
        }

        private JsonObject frame(int stream, boolean end) {
            JsonObject frame = new JsonObject();
            frame.addProperty("from", from);
            frame.addProperty("stream", stream);
            frame.addProperty("end", end);
            return frame;
        }

        private void add(JsonObject frame) {
            synchronized (frames) {
                frames.add(frame);
            }
        }
    }

    private interface Task {
        void run() throws IOException;
    }

    private static void daemon(Task task) {
        Thread thread = new Thread(() -> {
            try {
                task.run();
            } catch (IOException e) {
                // The connection's end.
            }
        });
        thread.setDaemon(true);
        thread.start();
    }
}
