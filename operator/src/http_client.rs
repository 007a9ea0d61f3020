//! Asking servers and brokers by HTTP, with limits on time and size.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response, StatusCode, body::Bytes, body::Incoming, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::de::DeserializeOwned;

/// How long it may take to connect.
const CONNECT_MAX: Duration = Duration::from_millis(500);

/// How long a question may take.
const ASK_MAX: Duration = Duration::from_secs(2);

/// How long it may take until what is put was taken.
const PUT_MAX: Duration = Duration::from_secs(4);

/// Largest answer, in bytes: a placement in JSON has less.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Longest part of an error that is passed on, in characters.
const ERROR_CHARS_MAX: usize = 200;

/// A client for many servers; cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpClient {
    inner: Client<HttpConnector, Full<Bytes>>,
}

impl Default for HttpClient {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_MAX));
        connector.set_nodelay(true);
        let inner = Client::builder(TokioExecutor::new())
            // Kept over the pause between two questions, and not for pods that are gone.
            .pool_idle_timeout(Duration::from_secs(10))
            .pool_max_idle_per_host(1)
            .build(connector);
        Self { inner }
    }
}

impl HttpClient {
    /// The JSON at `http://address/path`; anything but 200 is an error that says what was answered.
    pub async fn get_json<T: DeserializeOwned>(
        &self,
        address: &str,
        path: &str,
    ) -> Result<T, String> {
        let request = Request::get(format!("http://{address}{path}"));
        let request = request
            .body(Full::default())
            .map_err(|error| error.to_string())?;
        let bytes = self.send(request, ASK_MAX).await?;
        serde_json::from_slice(&bytes).map_err(|error| format!("{path} is no answer: {error}"))
    }

    /// Puts a body, with an `Authorization`.
    pub async fn put(
        &self,
        address: &str,
        path: &str,
        authorization: &str,
        body: Vec<u8>,
    ) -> Result<(), String> {
        let request = Request::put(format!("http://{address}{path}"))
            .header(header::AUTHORIZATION, authorization)
            .header(header::CONTENT_LENGTH, body.len())
            .body(Full::from(body))
            .map_err(|error| error.to_string())?;
        self.send(request, PUT_MAX).await.map(|_| ())
    }

    async fn send(&self, request: Request<Full<Bytes>>, limit: Duration) -> Result<Bytes, String> {
        let work = async {
            let response = self
                .inner
                .request(request)
                .await
                .map_err(|error| cause(&error))?;
            read(response).await
        };
        match tokio::time::timeout(limit, work).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} s", limit.as_secs())),
        }
    }
}

async fn read(response: Response<Incoming>) -> Result<Bytes, String> {
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    if status == StatusCode::OK {
        return Ok(body);
    }
    let text: String = String::from_utf8_lossy(&body)
        .chars()
        .take(ERROR_CHARS_MAX)
        .collect();
    Err(format!("{}: {}", status.as_u16(), text.trim()))
}

/// The innermost cause: the outer ones say only that a request failed.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
