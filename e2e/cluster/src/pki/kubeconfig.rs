//! What a client needs to know, in the form that every client of Kubernetes reads. Pure.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use super::server;

/// The file's text. JSON is YAML, too; everything is inside, so that the file can be copied.
pub(super) fn text(authority: &str, certificate: &str, key: &str) -> String {
    let name = "kvasir-cluster";
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {
            "server": server(),
            "certificate-authority-data": STANDARD.encode(authority),
        }}],
        "users": [{"name": name, "user": {
            "client-certificate-data": STANDARD.encode(certificate),
            "client-key-data": STANDARD.encode(key),
        }}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    });
    format!("{config:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_yaml_and_names_the_server() {
        let text = text("authority", "certificate", "key");
        let read: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(
            read["clusters"][0]["cluster"]["server"],
            "https://172.30.0.1:6443"
        );
        assert_eq!(read["users"][0]["user"]["client-key-data"], "a2V5");
    }
}
