//! A wire between board and broker that a test can cut or clog.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};
use std::time::Duration;

#[derive(Default)]
struct Wire {
    /// Nothing passes, and nobody is told.
    clogged: AtomicBool,
    /// Bytes that still pass from the broker to the board before the cut; `usize::MAX`: all.
    left: AtomicUsize,
    sockets: Mutex<Vec<TcpStream>>,
    connections: AtomicUsize,
}

pub(crate) struct Proxy {
    pub(crate) port: u16,
    wire: Arc<Wire>,
}

impl Proxy {
    pub(crate) fn to(broker: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let wire = Arc::new(Wire::default());
        wire.left.store(usize::MAX, SeqCst);
        let shared = Arc::clone(&wire);
        std::thread::spawn(move || {
            for board in listener.incoming().flatten() {
                let Ok(broker) = TcpStream::connect(("127.0.0.1", broker)) else {
                    continue;
                };
                shared.connections.fetch_add(1, SeqCst);
                let twice = |socket: &TcpStream| socket.try_clone().expect("it is open");
                shared
                    .sockets
                    .lock()
                    .expect("no panic")
                    .extend([twice(&board), twice(&broker)]);
                pass(twice(&board), twice(&broker), Arc::clone(&shared), false);
                pass(broker, board, Arc::clone(&shared), true);
            }
        });
        Self { port, wire }
    }

    /// Ends all connections at once.
    pub(crate) fn cut(&self) {
        for socket in self.wire.sockets.lock().expect("no panic").drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Ends the connection after so many more bytes from the broker.
    pub(crate) fn cut_after(&self, bytes: usize) {
        self.wire.left.store(bytes, SeqCst);
    }

    /// From now on nothing passes, as when a router forgets a connection. New ones are as dead.
    pub(crate) fn clog(&self, clogged: bool) {
        self.wire.clogged.store(clogged, SeqCst);
    }

    pub(crate) fn connections(&self) -> usize {
        self.wire.connections.load(SeqCst)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, wire: Arc<Wire>, counted: bool) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            while wire.clogged.load(SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
            let left = wire.left.load(SeqCst);
            let passes = if counted { length.min(left) } else { length };
            if to.write_all(&buffer[..passes]).is_err() {
                break;
            }
            if counted && left != usize::MAX {
                wire.left.store(left - passes, SeqCst);
                if passes == left {
                    wire.left.store(usize::MAX, SeqCst);
                    break;
                }
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}
