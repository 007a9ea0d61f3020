//! Keys and certificates: who is who in the cluster. Made once, kept until everything is wiped.

mod kubeconfig;

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};

use crate::{
    error::{Error, Result},
    home::{Home, make_directory, write_file},
    topology::{API_SERVICE_ADDRESS, HOST_ADDRESS, NodeNumber, all_nodes},
};

type Authority = CertifiedIssuer<'static, KeyPair>;

/// The group that may do everything.
const EVERYTHING: &str = "system:masters";

/// Somebody with a certificate.
struct Identity {
    /// The files' name.
    file: String,
    /// The user's name, as the API server sees it.
    user: String,
    /// The user's group.
    group: Option<&'static str>,
    /// Names and addresses under which it serves; none for who is only a client.
    serves: Vec<String>,
}

/// Makes everything, unless it is there.
pub(crate) fn make(home: &Home) -> Result<()> {
    let done = home.pki("complete");
    if done.exists() {
        return Ok(());
    }
    make_directory(&home.pki_directory())?;
    let cluster = authority(home, "ca", "kvasir-cluster-ca")?;
    let front_proxy = authority(home, "front-proxy-ca", "kvasir-cluster-front-proxy-ca")?;
    for identity in identities() {
        let key = issue(home, &cluster, &identity)?;
        let text = kubeconfig::text(&cluster.pem(), &key.certificate, &key.key);
        write_file(&home.pki(&format!("{}.kubeconfig", identity.file)), text)?;
    }
    issue(
        home,
        &front_proxy,
        &client("front-proxy-client", "front-proxy-client", None),
    )?;
    // Signs the tokens of service accounts.
    let key = generate("sa")?;
    write_file(&home.pki("sa.key"), key.serialize_pem())?;
    write_file(&home.pki("sa.pub"), key.public_key_pem())?;
    write_file(&done, "")
}

fn identities() -> Vec<Identity> {
    let mut identities = vec![
        client("admin", "admin", Some(EVERYTHING)),
        client(
            "apiserver-kubelet-client",
            "kube-apiserver-kubelet-client",
            Some(EVERYTHING),
        ),
        client("controller-manager", "system:kube-controller-manager", None),
        client("scheduler", "system:kube-scheduler", None),
        client("proxy", "system:kube-proxy", None),
        client(
            "local-path-provisioner",
            "local-path-provisioner",
            Some(EVERYTHING),
        ),
        api_server(),
    ];
    identities.extend(all_nodes().map(kubelet));
    identities
}

fn client(file: &str, user: &str, group: Option<&'static str>) -> Identity {
    Identity {
        file: file.to_owned(),
        user: user.to_owned(),
        group,
        serves: Vec::new(),
    }
}

fn api_server() -> Identity {
    let names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"];
    let mut serves: Vec<String> = names.map(str::to_owned).to_vec();
    serves.push("kubernetes.default.svc.cluster.local".to_owned());
    serves.push(HOST_ADDRESS.to_string());
    serves.push(API_SERVICE_ADDRESS.to_string());
    Identity {
        serves,
        ..client("apiserver", "kube-apiserver", None)
    }
}

fn kubelet(node: NodeNumber) -> Identity {
    Identity {
        serves: vec![node.name(), node.address().to_string()],
        ..client(
            &format!("kubelet-{node}"),
            &format!("system:node:{node}"),
            Some("system:nodes"),
        )
    }
}

/// A key and its certificate, as text.
struct Issued {
    certificate: String,
    key: String,
}

fn issue(home: &Home, authority: &Authority, identity: &Identity) -> Result<Issued> {
    let failed = |source| failed(&identity.file, source);
    let mut params = CertificateParams::new(identity.serves.clone()).map_err(failed)?;
    params.distinguished_name = name(&identity.user, identity.group);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    if !identity.serves.is_empty() {
        params
            .extended_key_usages
            .push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    let key = generate(&identity.file)?;
    let certificate = params.signed_by(&key, authority).map_err(failed)?;
    let issued = Issued {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    };
    write_file(
        &home.pki(&format!("{}.crt", identity.file)),
        &issued.certificate,
    )?;
    write_file(&home.pki(&format!("{}.key", identity.file)), &issued.key)?;
    Ok(issued)
}

fn authority(home: &Home, file: &str, common_name: &str) -> Result<Authority> {
    let failed = |source| failed(file, source);
    let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
    params.distinguished_name = name(common_name, None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let key = generate(file)?;
    // The controller manager signs requests of the cluster with it.
    write_file(&home.pki(&format!("{file}.key")), key.serialize_pem())?;
    let authority = CertifiedIssuer::self_signed(params, key).map_err(failed)?;
    write_file(&home.pki(&format!("{file}.crt")), authority.pem())?;
    Ok(authority)
}

fn generate(file: &str) -> Result<KeyPair> {
    KeyPair::generate().map_err(|source| failed(file, source))
}

fn failed(file: &str, reason: rcgen::Error) -> Error {
    Error::Certificate {
        name: file.to_owned(),
        reason,
    }
}

fn name(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name.push(DnType::CommonName, common_name);
    name
}

/// The address under which everybody reaches the API server.
pub(crate) fn server() -> String {
    format!(
        "https://{}:{}",
        IpAddr::from(HOST_ADDRESS),
        crate::topology::API_PORT
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn everybody_is_somebody_else() {
        let identities = identities();
        let files: BTreeSet<&str> = identities
            .iter()
            .map(|identity| identity.file.as_str())
            .collect();
        assert_eq!(files.len(), identities.len());
        let nodes = identities
            .iter()
            .filter(|identity| identity.group == Some("system:nodes"));
        assert!(nodes.clone().count() == 5 && nodes.clone().all(|node| node.serves.len() == 2));
    }

    #[test]
    fn it_is_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::from_environment()
            .unwrap()
            .with_root(directory.path().to_owned());
        make(&home).unwrap();
        let first = std::fs::read(home.pki("ca.crt")).unwrap();
        make(&home).unwrap();
        assert_eq!(std::fs::read(home.pki("ca.crt")).unwrap(), first);
        for file in [
            "admin.kubeconfig",
            "sa.pub",
            "kubelet-node5.key",
            "front-proxy-client.crt",
        ] {
            assert!(home.pki(file).exists(), "{file}");
        }
    }
}
