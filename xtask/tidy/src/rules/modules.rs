//! Reads a crate: its modules, the names they hold, and every path of theirs that leads through the crate's root.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ImplItem, Item, ItemMod, Lit, Meta, Stmt, TraitItem, UseTree};

use super::tests_apart::{attributes, only_for_tests};

/// What a path begins with that does not begin where names are looked up.
const KEYWORDS: &[&str] = &["crate", "self", "super"];

/// A module's place below the crate's root; the root is empty.
pub type ModulePath = Vec<String>;

/// A mention of something in the crate.
#[derive(Debug)]
pub struct Mention {
    /// The module that mentions it.
    pub from: ModulePath,
    /// What is mentioned, from the root; a glob's is the module that it opens.
    pub path: Vec<String>,
    pub file: PathBuf,
    pub line: usize,
}

/// The names that a module holds.
#[derive(Debug, Default)]
pub struct Names {
    /// Items of its own, modules included.
    pub defined: BTreeSet<String>,
    /// Names that it imports or re-exports, with the paths that its `use` lines write.
    pub imported: BTreeMap<String, Vec<String>>,
    /// Paths of its glob imports.
    pub globs: Vec<Vec<String>>,
}

/// What a crate consists of, tests left out.
#[derive(Debug, Default)]
pub struct Crate {
    pub modules: BTreeMap<ModulePath, Names>,
    /// Paths that begin with `crate`, `self` or `super`, wherever they stand.
    pub mentions: Vec<Mention>,
    /// The other paths, by their first name alone; they count where a glob import brings the root's names.
    pub bare: Vec<Mention>,
    /// Macros that lie at the root by `#[macro_export]`, with the module that holds each.
    pub exported_macros: BTreeMap<String, ModulePath>,
}

/// Reads the crate whose root this file is.
///
/// # Errors
/// A file of a module cannot be found, read or parsed.
pub fn read_crate(root: &Path) -> Result<Crate> {
    let folder = root.parent().context("a file has a folder")?.to_path_buf();
    let mut reader = Reader {
        found: Crate::default(),
        module: Vec::new(),
        file: root.to_path_buf(),
        folder,
        in_attribute: false,
        error: None,
    };
    reader.read_file()?;
    reader.error.map_or(Ok(reader.found), Err)
}

/// Walks through the syntax trees of a crate's files.
struct Reader {
    found: Crate,
    /// The module at hand.
    module: ModulePath,
    file: PathBuf,
    /// Where the files of the module's children lie.
    folder: PathBuf,
    in_attribute: bool,
    /// The first error; a visitor cannot return it.
    error: Option<anyhow::Error>,
}

impl Reader {
    fn read_file(&mut self) -> Result<()> {
        let text = fs::read_to_string(&self.file).with_context(|| self.file.display().to_string())?;
        let parsed = syn::parse_file(&text).with_context(|| self.file.display().to_string())?;
        if !only_for_tests(&parsed.attrs) {
            self.found.modules.entry(self.module.clone()).or_default();
            self.visit_file(&parsed);
        }
        Ok(())
    }

    fn names(&mut self) -> &mut Names {
        self.found.modules.entry(self.module.clone()).or_default()
    }

    /// Goes into a module, inline or in a file of its own.
    fn enter(&mut self, item: &ItemMod) -> Result<()> {
        let name = plain(&item.ident);
        let outer = (self.file.clone(), self.folder.clone());
        self.module.push(name.clone());
        self.folder.push(&name);
        if let Some((_, items)) = &item.content {
            self.names();
            for item in items {
                self.visit_item(item);
            }
        } else {
            let elsewhere = path_attribute(&item.attrs);
            let beside = outer.1.join(format!("{name}.rs"));
            let within = outer.1.join(&name).join("mod.rs");
            let candidates = match elsewhere {
                Some(path) => vec![outer.0.parent().unwrap_or(Path::new("")).join(path)],
                None => vec![beside, within],
            };
            let Some(file) = candidates.iter().find(|file| file.is_file()) else {
                bail!("{}: the file of its module `{name}` is not found", outer.0.display());
            };
            // A file that `#[path]` names has its children beside it, as a `mod.rs` has.
            if path_attribute(&item.attrs).is_some() {
                self.folder = file.parent().unwrap_or(Path::new("")).to_path_buf();
            }
            self.file = file.clone();
            self.read_file()?;
        }
        self.module.pop();
        (self.file, self.folder) = outer;
        Ok(())
    }

    /// Takes down a path.
    fn mention(&mut self, segments: &[String], line: usize) {
        // `self` alone, mostly a method's own value, and `super` lead to where the mention stands; their globs are kept
        // apart.
        if segments.iter().all(|word| KEYWORDS.contains(&word.as_str())) {
            return;
        }
        let (from, file) = (self.module.clone(), self.file.clone());
        match absolute(&self.module, segments) {
            Some(path) => self.found.mentions.push(Mention { from, path, file, line }),
            None => self.found.bare.push(Mention { from, path: segments[..1].to_vec(), file, line }),
        }
    }

    /// Takes down the paths of a `use` line, and, of one that belongs to the module, the names that it brings.
    fn import(&mut self, prefix: &mut Vec<String>, tree: &UseTree, line: Option<usize>) {
        let whole = |reader: &mut Self, last: &Ident, name: Option<&Ident>| {
            let mut path = prefix.clone();
            // `use a::{self}` brings `a`.
            if last != "self" || path.is_empty() {
                path.push(plain(last));
            }
            reader.mention(&path, line.unwrap_or_else(|| last.span().start().line));
            if let Some(name) = name.map(plain).filter(|name| name != "_").or_else(|| path.last().cloned()) {
                reader.names().imported.insert(name, path);
            }
        };
        match tree {
            UseTree::Name(name) => whole(self, &name.ident, None),
            UseTree::Rename(name) => whole(self, &name.ident, Some(&name.rename)),
            UseTree::Path(path) => {
                prefix.push(plain(&path.ident));
                self.import(prefix, &path.tree, line);
                prefix.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(prefix, tree, line)),
            UseTree::Glob(glob) if !prefix.is_empty() => {
                self.mention(prefix, line.unwrap_or_else(|| glob.star_token.spans[0].start().line));
                let path = prefix.clone();
                self.names().globs.push(path);
            }
            _ => {}
        }
    }

    /// Takes down the paths that begin with `crate`, `self` or `super` among tokens.
    fn search(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                TokenTree::Group(group) => self.search(group.stream()),
                TokenTree::Ident(ident) if KEYWORDS.iter().any(|word| ident == word) => {
                    at = self.follow(&tokens, at, vec![ident.to_string()], ident.span().start().line);
                }
                TokenTree::Literal(literal) if self.in_attribute => self.quoted(&Lit::new(literal.clone())),
                _ => {}
            }
        }
    }

    /// Reads on a path whose first names are known; returns where it ends.
    fn follow(&mut self, tokens: &[TokenTree], mut at: usize, mut path: Vec<String>, line: usize) -> usize {
        let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == ':');
        while colon(at) && colon(at + 1) {
            match tokens.get(at + 2) {
                Some(TokenTree::Ident(ident)) => path.push(plain(ident)),
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    for part in inner.split(|t| matches!(t, TokenTree::Punct(p) if p.as_char() == ',')) {
                        if let Some(TokenTree::Ident(ident)) = part.first() {
                            let mut longer = path.clone();
                            longer.push(plain(ident));
                            self.follow(part, 1, longer, ident.span().start().line);
                        }
                    }
                    return at + 3;
                }
                _ => break,
            }
            at += 3;
        }
        self.mention(&path, line);
        at
    }

    /// A path in an attribute's string, such as `#[serde(with = "crate::m")]`.
    fn quoted(&mut self, literal: &Lit) {
        let Lit::Str(text) = literal else { return };
        if let Ok(path) = text.parse::<syn::Path>() {
            let segments: Vec<String> = path.segments.iter().map(|s| plain(&s.ident)).collect();
            if absolute(&self.module, &segments).is_some() {
                self.mention(&segments, text.span().start().line);
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if only_for_tests(attributes(item)) {
            return;
        }
        if let Some(name) = defined_name(item) {
            self.names().defined.insert(name);
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if self.error.is_none() {
            self.error = self.enter(item).err();
        }
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        if let Some(name) = &item.ident
            && item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"))
        {
            self.found.exported_macros.insert(plain(name), self.module.clone());
        }
        visit::visit_item_macro(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if item.leading_colon.is_none() {
            self.import(&mut Vec::new(), &item.tree, None);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none()
            && let Some(first) = path.segments.first()
        {
            let segments: Vec<String> = path.segments.iter().map(|s| plain(&s.ident)).collect();
            self.mention(&segments, first.ident.span().start().line);
        }
        visit::visit_path(self, path);
    }

    // `pub(in crate::m)` says who may use a thing, and uses nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if !matches!(&attribute.meta, Meta::NameValue(pair) if pair.path.is_ident("doc")) {
            self.in_attribute = true;
            visit::visit_attribute(self, attribute);
            self.in_attribute = false;
        }
    }

    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        self.search(tokens.clone());
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes = match item {
            ImplItem::Const(i) => &i.attrs[..],
            ImplItem::Fn(i) => &i.attrs,
            ImplItem::Type(i) => &i.attrs,
            ImplItem::Macro(i) => &i.attrs,
            _ => &[],
        };
        if !only_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        let attributes = match item {
            TraitItem::Const(i) => &i.attrs[..],
            TraitItem::Fn(i) => &i.attrs,
            TraitItem::Type(i) => &i.attrs,
            TraitItem::Macro(i) => &i.attrs,
            _ => &[],
        };
        if !only_for_tests(attributes) {
            visit::visit_trait_item(self, item);
        }
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        let attributes = match statement {
            Stmt::Local(local) => &local.attrs[..],
            Stmt::Macro(call) => &call.attrs,
            Stmt::Expr(Expr::Block(block), _) => &block.attrs,
            _ => &[],
        };
        if !only_for_tests(attributes) {
            visit::visit_stmt(self, statement);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !only_for_tests(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        if !only_for_tests(&variant.attrs) {
            visit::visit_variant(self, variant);
        }
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if !only_for_tests(&arm.attrs) {
            visit::visit_arm(self, arm);
        }
    }
}

/// A path from the root, if it begins with `crate`, `self` or `super`.
pub fn absolute(module: &[String], segments: &[String]) -> Option<Vec<String>> {
    let mut base = module.to_vec();
    let mut rest = segments;
    match rest.first()?.as_str() {
        "crate" => base.clear(),
        "self" => {}
        "super" => {
            base.pop();
        }
        _ => return None,
    }
    rest = &rest[1..];
    while rest.first().is_some_and(|word| word == "super") {
        base.pop();
        rest = &rest[1..];
    }
    base.extend(rest.iter().cloned());
    Some(base)
}

fn defined_name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(i) => &i.ident,
        Item::Enum(i) => &i.ident,
        Item::Fn(i) => &i.sig.ident,
        Item::Macro(i) => i.ident.as_ref()?,
        Item::Mod(i) => &i.ident,
        Item::Static(i) => &i.ident,
        Item::Struct(i) => &i.ident,
        Item::Trait(i) => &i.ident,
        Item::TraitAlias(i) => &i.ident,
        Item::Type(i) => &i.ident,
        Item::Union(i) => &i.ident,
        _ => return None,
    };
    Some(plain(ident))
}

/// A name without the mark of a raw one.
fn plain(ident: &Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").map_or(text.clone(), str::to_owned)
}

/// What `#[path = "…"]` says.
fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    })
}
