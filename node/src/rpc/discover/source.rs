//! Reads the methods out of the sources of JSON-RPC: their names, parameters, results and what is said of
//! them there, so that nothing is said twice.
//! Not for: types; those tell of themselves (`schemars`).

use std::fs;
use std::path::{Path, PathBuf};

/// A method as its trait declares it.
#[derive(Clone, Debug, Default)]
pub(super) struct Method {
    /// With its noun.
    pub(super) name: String,
    pub(super) docs: String,
    /// Name and Rust type of each parameter.
    pub(super) params: Vec<(String, String)>,
    pub(super) is_by_name: bool,
    /// The Rust type of what it returns, or of what it tells for a subscription.
    pub(super) result: String,
    /// For a subscription: what ends it, and what its news are called.
    pub(super) subscription: Option<(String, String)>,
}

/// All methods of the sources, by name.
pub(super) fn methods() -> Vec<Method> {
    let mut methods: Vec<Method> =
        files().iter().flat_map(|file| of_file(&fs::read_to_string(file).unwrap())).collect();
    methods.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    methods
}

fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let folder = fs::read_dir(root.join("rpc")).unwrap().map(|it| it.unwrap().path());
    let mut files: Vec<PathBuf> = folder.filter(|it| it.is_file()).collect();
    files.push(root.join("rpc.rs"));
    files
}

fn of_file(text: &str) -> Vec<Method> {
    let mut methods = Vec::new();
    for part in text.split("\n#[rpc(").skip(1) {
        let noun = quoted_after(part, "namespace = ").expect("every trait has a noun");
        let body = part.split_once("\n}").expect("a trait ends").0;
        let body = body.split_once('{').expect("a trait has methods").1;
        let mut docs = Vec::new();
        let mut attribute = None::<String>;
        let mut signature = String::new();
        for line in body.lines().map(str::trim) {
            if let Some(said) = line.strip_prefix("///") {
                docs.push(said.trim().to_owned());
            } else if line.starts_with("#[")
                || attribute.as_ref().is_some_and(|it| !it.ends_with(']'))
            {
                attribute.get_or_insert_default().push_str(line);
            } else if !line.is_empty() {
                signature.push_str(line);
                signature.push(' ');
                if line.ends_with(';') {
                    let attribute = attribute.take().expect("every method has a name");
                    methods.push(method(noun, &attribute, &signature, &docs.join(" ")));
                    (docs, signature) = (Vec::new(), String::new());
                }
            }
        }
    }
    methods
}

fn method(noun: &str, attribute: &str, signature: &str, docs: &str) -> Method {
    let named = |key| quoted_after(attribute, key).map(|it| format!("{noun}.{it}"));
    let name = named("name = ").expect("every method has a name");
    let (_, rest) = signature.split_once("&self").expect("methods are of something");
    let (params, rest) = rest.split_once(')').expect("parameters end");
    let params = params.split(", ").filter_map(|it| it.trim().trim_matches(',').split_once(": "));
    let params = params.map(|(name, of)| (name.to_owned(), of.trim_matches(',').to_owned()));
    let result = rest.split_once("RpcResult<").map(|it| it.1.trim_end().trim_end_matches(">;"));
    let told = attribute.split_once("item = ").map(|it| {
        let end = it.1.find([',', ')']).expect("an attribute ends");
        it.1[..end].trim()
    });
    let news = quoted_after(attribute, "=> ").map(|it| format!("{noun}.{it}"));
    Method {
        name,
        docs: without_links(docs),
        params: params.collect(),
        is_by_name: attribute.contains("param_kind = map"),
        result: result.or(told).expect("every method returns or tells something").to_owned(),
        subscription: named("unsubscribe = ").zip(news),
    }
}

fn quoted_after<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let rest = text.split_once(key)?.1.strip_prefix('"')?;
    Some(rest.split_once('"')?.0)
}

/// Links into the code mean nothing to whoever reads the document.
fn without_links(docs: &str) -> String {
    let mut text = docs.to_owned();
    while let Some(from) = text.find(" ([`") {
        let to = text[from..].find(')').expect("a link ends") + from;
        text.replace_range(from..=to, "");
    }
    text
}
