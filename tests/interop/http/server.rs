//! A server and a client of the `h2` crate, with the settings that it comes with.

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

/// Answers every request with its own body, or a word where it has none, until the
/// tests end.
pub(super) fn start() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a bound socket");
    let port = listener.local_addr().expect("a bound socket").port();
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).expect("a bound socket");
            loop {
                let (socket, _) = listener.accept().await.expect("a bound socket");
                tokio::spawn(serve(socket));
            }
        });
    });
    port
}

async fn serve(socket: TcpStream) {
    let Ok(mut connection) = h2::server::handshake(socket).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(async move { drop(answer(request, respond).await) });
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let is_head = request.method() == Method::HEAD;
    let mut body = request.into_body();
    let mut answer = respond.send_response(Response::new(()), is_head)?;
    if is_head {
        return Ok(());
    }
    if body.is_end_stream() {
        return answer.send_data(Bytes::from_static(b"hello"), true);
    }
    while let Some(piece) = body.data().await {
        let piece = piece?;
        let length = piece.len();
        write(&mut answer, piece).await?;
        body.flow_control().release_capacity(length)?;
    }
    answer.send_data(Bytes::from_static(b"!"), true)
}

async fn write(stream: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), h2::Error> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
        let Some(room) = room.transpose()? else { return Err(h2::Reason::CANCEL.into()) };
        stream.send_data(data.split_to(room.min(data.len())), false)?;
    }
    Ok(())
}

/// Sends so many bytes in one stream while as many come back; says how many came.
pub(super) fn echo_through(port: u16, length: usize) -> usize {
    const PIECE: usize = 64 << 10;
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let socket = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
        let (mut client, connection) =
            h2::client::handshake(socket).await.expect("it speaks HTTP/2");
        tokio::spawn(async move { drop(connection.await) });
        let request = Request::post("http://mesh/lab.Echo/Stream")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .expect("a good request");
        let (answer, mut stream) = client.send_request(request, false).expect("an open connection");
        tokio::spawn(async move {
            for _ in 0..length / PIECE {
                write(&mut stream, Bytes::from_static(&[7; PIECE])).await.expect("it is taken");
            }
            stream.send_data(Bytes::new(), true).expect("it is taken");
        });
        let mut body = answer.await.expect("an answer").into_body();
        let mut came = 0;
        while let Some(piece) = body.data().await {
            let piece = piece.expect("the next piece");
            came += piece.len();
            body.flow_control().release_capacity(piece.len()).expect("it was received");
        }
        came - 1
    })
}
