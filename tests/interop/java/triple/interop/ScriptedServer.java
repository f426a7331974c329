package interop;

import com.google.gson.JsonObject;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandler;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.codec.http2.DefaultHttp2DataFrame;
import io.netty.handler.codec.http2.DefaultHttp2Headers;
import io.netty.handler.codec.http2.DefaultHttp2HeadersFrame;
import io.netty.handler.codec.http2.DefaultHttp2ResetFrame;
import io.netty.handler.codec.http2.Http2FrameCodecBuilder;
import io.netty.handler.codec.http2.Http2Headers;
import io.netty.handler.codec.http2.Http2HeadersFrame;
import io.netty.handler.codec.http2.Http2MultiplexHandler;
import io.netty.util.ReferenceCountUtil;
import java.net.InetSocketAddress;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;

/** Answers every HTTP/2 request in one way: to learn what a Triple consumer makes of it, and whether it asks again. */
final class ScriptedServer {
    private final AtomicInteger asked = new AtomicInteger();
    private final int port;
    private volatile JsonObject script = new JsonObject();

    ScriptedServer() throws InterruptedException {
        ServerBootstrap server = new ServerBootstrap()
                .group(new NioEventLoopGroup(1, task -> {
                    Thread thread = new Thread(task, "scripted");
                    thread.setDaemon(true);
                    return thread;
                }))
                .channel(NioServerSocketChannel.class)
                .childHandler(new ChannelInitializer<SocketChannel>() {
                    @Override
                    protected void initChannel(SocketChannel channel) {
                        channel.pipeline().addLast(Http2FrameCodecBuilder.forServer().build(), new Http2MultiplexHandler(new Streams()));
                    }
                });
        InetSocketAddress address = (InetSocketAddress) server.bind("127.0.0.1", 0).sync().channel().localAddress();
        port = address.getPort();
    }

    int port() {
        return port;
    }

    /**
     * How to answer from now on: {@code headers} and {@code trailers} (with {@code :status} among the first),
     * {@code data} in hex, {@code reset} with an error code, {@code close} of the connection, or {@code silent}.
     */
    void answer(JsonObject script) {
        this.script = script;
        asked.set(0);
    }

    /** Requests since the script was given. */
    int asked() {
        return asked.get();
    }

    @ChannelHandler.Sharable
    private final class Streams extends ChannelInboundHandlerAdapter {
        @Override
        public void channelRead(ChannelHandlerContext stream, Object frame) {
            if (frame instanceof Http2HeadersFrame) {
                asked.incrementAndGet();
                answer(stream, script);
            }
            ReferenceCountUtil.release(frame);
        }

        private void answer(ChannelHandlerContext stream, JsonObject script) {
            if (Json.flag(script, "silent")) {
                return;
            }
            if (Json.flag(script, "close")) {
                stream.channel().parent().close();
                return;
            }
            if (script.has("reset")) {
                stream.writeAndFlush(new DefaultHttp2ResetFrame(Json.number(script, "reset", 0)));
                return;
            }
            Map<String, String> trailers = Json.map(script, "trailers");
            ByteBuf data = Unpooled.wrappedBuffer(ByteBufUtil.decodeHexDump(Json.string(script, "data", "")));
            boolean bare = trailers.isEmpty() && !data.isReadable();
            stream.write(new DefaultHttp2HeadersFrame(headers(Json.map(script, "headers")), bare));
            if (data.isReadable()) {
                stream.write(new DefaultHttp2DataFrame(data, trailers.isEmpty()));
            }
            if (!trailers.isEmpty()) {
                stream.write(new DefaultHttp2HeadersFrame(headers(trailers), true));
            }
            stream.flush();
        }

        private Http2Headers headers(Map<String, String> lines) {
            Http2Headers headers = new DefaultHttp2Headers(false);
            lines.forEach(headers::add);
            return headers;
        }
    }
}
