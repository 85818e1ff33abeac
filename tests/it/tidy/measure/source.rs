//! One file, as far as it is production code.

#![expect(clippy::wildcard_enum_match_arm, reason = "the grammar of Rust, which grows")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, UseTree, Visibility};

use super::Function;

/// Methods that look for a text in another.
const SEARCHES: [&str; 15] = [
    "contains",
    "starts_with",
    "ends_with",
    "strip_prefix",
    "strip_suffix",
    "split_once",
    "rsplit_once",
    "split",
    "rsplit",
    "find",
    "rfind",
    "trim_start_matches",
    "trim_end_matches",
    "matches",
    "eq",
];

/// With these words a file's documentation says why it is longer than others.
const REASON: &str = "//! Over 600 lines because ";

/// Something that another module is asked for: by `use`, or by a path in the code that begins with
/// `crate`, `super` or `self`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Import {
    /// The modules around it within the file.
    pub(super) within: Vec<String>,
    pub(super) path: Vec<String>,
    /// The name that it has here; none for `*` and for a path in the code.
    pub(super) name: Option<String>,
    /// Whether others may take it from here.
    pub(super) public: bool,
}

#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) file: String,
    pub(super) lines: usize,
    pub(super) written_lines: usize,
    pub(super) comment_lines: usize,
    pub(super) explained: bool,
    pub(super) functions: Vec<Function>,
    /// The modules that are files of their own, by their path from this one.
    pub(super) children: Vec<Vec<String>>,
    pub(super) imports: Vec<Import>,
    /// The names that each module in this file defines.
    pub(super) defined: BTreeMap<Vec<String>, BTreeSet<String>>,
    /// Texts of several words that the code compares with, or searches for: the line and the text.
    pub(super) searched: Vec<(usize, String)>,
    /// Every word of the code outside of `use`.
    words: BTreeSet<String>,
    /// The texts that have a name in this file.
    constants: BTreeMap<String, String>,
    /// Names that the code compares with, or searches for: the line and the name.
    searched_names: Vec<(usize, String)>,
    within: Vec<String>,
    /// The first and the last line of what is only there for tests.
    tests: Vec<(usize, usize)>,
}

impl Source {
    /// Whether that is only passed on to others.
    pub(super) fn re_exports(&self, import: &Import) -> bool {
        import.public && !import.name.as_ref().is_some_and(|it| self.words.contains(it))
    }

    pub(super) fn read(root: &Path, file: &str) -> Self {
        let text = std::fs::read_to_string(root.join(file))
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut source = Self { file: file.to_owned(), ..Self::default() };
        source.visit_file(&parsed);
        for (line, name) in std::mem::take(&mut source.searched_names) {
            if let Some(text) = source.constants.get(&name).cloned() {
                source.add_text(line, text);
            }
        }
        source.count(&text);
        source
    }

    fn count(&mut self, text: &str) {
        for (at, line) in text.lines().enumerate() {
            let at = at + 1;
            if self.tests.iter().any(|(first, last)| (*first..=*last).contains(&at)) {
                continue;
            }
            let line = line.trim_start();
            self.lines += 1;
            self.written_lines += usize::from(!line.is_empty());
            self.comment_lines += usize::from(line.starts_with("//"));
            self.explained |= line.starts_with(REASON);
        }
    }

    fn skip(&mut self, item: &impl syn::spanned::Spanned) {
        self.tests.push((item.span().start().line, item.span().end().line));
    }

    fn add_function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let at = signature.span().start().line;
        let lines = block.span().end().line - at + 1;
        let name = signature.ident.to_string();
        self.functions.push(Function { file: self.file.clone(), name, at, lines });
    }

    fn add_words(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.add_words(group.stream()),
                TokenTree::Ident(ident) => {
                    self.words.insert(ident.to_string());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }

    fn add_searched(&mut self, expression: &syn::Expr) {
        let expression = match expression {
            syn::Expr::Reference(it) => &it.expr,
            other => other,
        };
        if let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = expression {
            self.add_text(text.span().start().line, text.value());
        }
        if let syn::Expr::Path(path) = expression {
            let name = &path.path.segments.last().unwrap().ident;
            self.searched_names.push((name.span().start().line, name.to_string()));
        }
    }

    fn add_text(&mut self, line: usize, text: String) {
        let is_sentence = text.chars().any(char::is_alphabetic) && text.contains(' ');
        if is_sentence {
            self.searched.push((line, text));
        }
    }

    fn add_constant(&mut self, name: &syn::Ident, value: &syn::Expr) {
        if let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = value {
            self.constants.insert(name.to_string(), text.value());
        }
    }

    /// The texts in the pattern of a `matches!`.
    fn add_matched(&mut self, matched: &syn::Macro) {
        let pattern = matched.parse_body_with(|input: syn::parse::ParseStream<'_>| {
            input.parse::<syn::Expr>()?;
            input.parse::<syn::Token![,]>()?;
            let pattern = syn::Pat::parse_multi_with_leading_vert(input)?;
            input.parse::<TokenStream>()?;
            Ok(pattern)
        });
        let pattern = pattern.unwrap_or_else(|error| panic!("{}: {error}", self.file));
        let mut texts = Texts::default();
        texts.visit_pat(&pattern);
        texts.0.into_iter().for_each(|(line, text)| self.add_text(line, text));
    }

    /// The single names of a `use`: `a::{b, c as d, e::*}` is three.
    fn add_use(&mut self, tree: &UseTree, before: &[String], public: bool) {
        let (name, alias) = match tree {
            UseTree::Path(path) => {
                return self.add_use(&path.tree, &with(before, &path.ident), public);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|it| self.add_use(it, before, public));
            }
            UseTree::Glob(_) => (None, None),
            UseTree::Name(name) => (Some(&name.ident), Some(&name.ident)),
            UseTree::Rename(rename) => (Some(&rename.ident), Some(&rename.rename)),
        };
        // `use a::{self}` is `use a`.
        let path = match name.filter(|it| *it != "self") {
            Some(name) => with(before, name),
            None => before.to_vec(),
        };
        let alias = match alias {
            Some(alias) if alias == "self" => path.last().cloned(),
            alias => alias.map(ToString::to_string),
        };
        self.imports.push(Import { within: self.within.clone(), path, name: alias, public });
    }

    fn define(&mut self, item: &Item) {
        let name = match item {
            Item::Const(it) => &it.ident,
            Item::Enum(it) => &it.ident,
            Item::Fn(it) => &it.sig.ident,
            Item::Static(it) => &it.ident,
            Item::Struct(it) => &it.ident,
            Item::Trait(it) => &it.ident,
            Item::Type(it) => &it.ident,
            Item::Union(it) => &it.ident,
            _ => return,
        };
        self.defined.entry(self.within.clone()).or_default().insert(name.to_string());
    }
}

/// Every text in a part of the code: the line and the text.
#[derive(Default)]
struct Texts(Vec<(usize, String)>);

impl<'ast> Visit<'ast> for Texts {
    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.0.push((text.span().start().line, text.value()));
    }
}

fn with(before: &[String], name: &syn::Ident) -> Vec<String> {
    before.iter().cloned().chain([name.to_string()]).collect()
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|it| match &it.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            let tokens = list.tokens.to_string();
            tokens.contains("test") && !tokens.contains("not")
        }
        syn::Meta::List(_) | syn::Meta::Path(_) | syn::Meta::NameValue(_) => false,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(it) => &it.attrs,
        Item::Enum(it) => &it.attrs,
        Item::ExternCrate(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::ForeignMod(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Macro(it) => &it.attrs,
        Item::Mod(it) => &it.attrs,
        Item::Static(it) => &it.attrs,
        Item::Struct(it) => &it.attrs,
        Item::Trait(it) => &it.attrs,
        Item::TraitAlias(it) => &it.attrs,
        Item::Type(it) => &it.attrs,
        Item::Union(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Source {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_test(attributes(item)) {
            return self.skip(item);
        }
        self.define(item);
        visit::visit_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        match item {
            ImplItem::Fn(function) if is_test(&function.attrs) => self.skip(function),
            _ => visit::visit_impl_item(self, item),
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.within.push(item.ident.to_string());
        if item.content.is_some() {
            self.defined.entry(self.within.clone()).or_default();
            visit::visit_item_mod(self, item);
        } else {
            self.children.push(self.within.clone());
        }
        self.within.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_use(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let first = path.segments[0].ident.to_string();
        if path.segments.len() > 1 && ["crate", "super", "self"].contains(&&*first) {
            let path = path.segments.iter().map(|it| it.ident.to_string()).collect();
            let within = self.within.clone();
            self.imports.push(Import { within, path, name: None, public: false });
        }
        visit::visit_path(self, path);
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.add_constant(&item.ident, &item.expr);
        visit::visit_item_const(self, item);
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.add_constant(&item.ident, &item.expr);
        visit::visit_impl_item_const(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add_function(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add_function(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.add_function(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if SEARCHES.contains(&&*call.method.to_string()) {
            call.args.iter().for_each(|it| self.add_searched(it));
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_binary(&mut self, compared: &'ast syn::ExprBinary) {
        if matches!(compared.op, syn::BinOp::Eq(_) | syn::BinOp::Ne(_)) {
            self.add_searched(&compared.left);
            self.add_searched(&compared.right);
        }
        visit::visit_expr_binary(self, compared);
    }

    fn visit_pat(&mut self, pattern: &'ast syn::Pat) {
        if let syn::Pat::Lit(literal) = pattern {
            self.add_searched(&syn::Expr::Lit(literal.clone()));
        }
        visit::visit_pat(self, pattern);
    }

    fn visit_ident(&mut self, ident: &'ast syn::Ident) {
        self.words.insert(ident.to_string());
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.add_words(item.tokens.clone());
        if item.path.is_ident("matches") {
            self.add_matched(item);
        }
        visit::visit_macro(self, item);
    }
}
