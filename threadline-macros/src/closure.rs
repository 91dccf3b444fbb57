//! Whether a closure tells its own error type.
//!
//! `?` converts into whatever the error type is, so a closure that ends in a bare `Ok(..)` leaves it open, and the
//! compiler would ask for an annotation. There, and only there, it is to be the error type of the function around.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Arm, Block, Expr, ExprAsync, ExprCall, ExprClosure, ExprIf, ExprReturn, Item, PathArguments, ReturnType, Stmt,
};

/// What the values that a closure returns say about its error type.
#[derive(Clone, Copy)]
pub(crate) enum Evidence {
    /// At least one of them has a type of its own.
    Told,
    /// Each is a bare `Ok(..)`, such as the one here, or an error converted with `into`.
    Open(Span),
    /// There is none.
    Nothing,
}

impl Evidence {
    /// Where the error type was left open.
    pub(crate) fn open(self) -> Option<Span> {
        match self {
            Self::Open(span) => Some(span),
            Self::Told | Self::Nothing => None,
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Told, _) | (_, Self::Told) => Self::Told,
            (Self::Open(span), _) | (_, Self::Open(span)) => Self::Open(span),
            (Self::Nothing, Self::Nothing) => Self::Nothing,
        }
    }
}

/// Looks at everything that `closure` returns.
pub(crate) fn error_type(closure: &ExprClosure) -> Evidence {
    if let ReturnType::Type(..) = closure.output {
        return Evidence::Told;
    }
    let mut returns = Returns(of_value(&closure.body));
    returns.visit_expr(&closure.body);
    returns.0
}

/// The `return`s of one closure, without those of closures and functions inside it.
struct Returns(Evidence);

impl<'ast> Visit<'ast> for Returns {
    fn visit_expr_return(&mut self, expression: &'ast ExprReturn) {
        let evidence = expression.expr.as_deref().map_or(Evidence::Told, of_value);
        self.0 = self.0.and(evidence);
        visit::visit_expr_return(self, expression);
    }

    fn visit_expr_closure(&mut self, _: &'ast ExprClosure) {}
    fn visit_expr_async(&mut self, _: &'ast ExprAsync) {}
    fn visit_item(&mut self, _: &'ast Item) {}
}

/// What a returned value says.
fn of_value(value: &Expr) -> Evidence {
    match value {
        Expr::Call(call) => of_call(call),
        Expr::Paren(inner) => of_value(&inner.expr),
        Expr::Group(inner) => of_value(&inner.expr),
        Expr::Block(inner) => of_block(&inner.block),
        Expr::Unsafe(inner) => of_block(&inner.block),
        Expr::If(choice) => of_if(choice),
        Expr::Match(choice) => {
            choice.arms.iter().map(|Arm { body, .. }| of_value(body)).fold(Evidence::Nothing, Evidence::and)
        }
        // They leave the closure or never do; what a `return` holds is looked at by itself.
        Expr::Return(_) | Expr::Break(_) | Expr::Continue(_) => Evidence::Nothing,
        Expr::Macro(call) if diverges(&call.mac) => Evidence::Nothing,
        _ => Evidence::Told,
    }
}

fn of_block(block: &Block) -> Evidence {
    match block.stmts.last() {
        Some(Stmt::Expr(value, None)) => of_value(value),
        Some(Stmt::Macro(call)) if diverges(&call.mac) => Evidence::Nothing,
        Some(Stmt::Expr(Expr::Return(_), Some(_))) => Evidence::Nothing,
        _ => Evidence::Told,
    }
}

fn of_if(choice: &ExprIf) -> Evidence {
    let otherwise = choice.else_branch.as_ref().map_or(Evidence::Told, |(_, otherwise)| of_value(otherwise));
    of_block(&choice.then_branch).and(otherwise)
}

fn of_call(ExprCall { func, args, .. }: &ExprCall) -> Evidence {
    let Expr::Path(function) = &**func else { return Evidence::Told };
    let bare = function.qself.is_none()
        && function.path.segments.iter().all(|segment| matches!(segment.arguments, PathArguments::None));
    let Some(variant) = function.path.segments.last().filter(|_| bare) else { return Evidence::Told };
    if variant.ident == "Ok" {
        return Evidence::Open(func.span());
    }
    match args.first() {
        Some(error) if variant.ident == "Err" && is_converted(error) => Evidence::Open(func.span()),
        _ => Evidence::Told,
    }
}

/// Whether an error is whatever it is asked to be.
fn is_converted(error: &Expr) -> bool {
    match error {
        Expr::MethodCall(call) => call.method == "into" && call.turbofish.is_none(),
        Expr::Paren(inner) => is_converted(&inner.expr),
        _ => false,
    }
}

/// Macros of the standard library that never return.
fn diverges(call: &syn::Macro) -> bool {
    ["panic", "todo", "unimplemented", "unreachable"].iter().any(|name| call.path.is_ident(name))
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn is_open(closure: proc_macro2::TokenStream) -> bool {
        error_type(&syn::parse2(closure).unwrap()).open().is_some()
    }

    #[test]
    fn bare_ok_leaves_it_open() {
        assert!(is_open(quote!(|tx| Ok(()))));
        assert!(is_open(quote!(|tx| {
            write(tx).await?;
            Ok(7)
        })));
        assert!(is_open(quote!(|tx| {
            write(tx).await?;
            Result::Ok(7)
        })));
        assert!(is_open(quote!(|tx| {
            write(tx).await?;
            return Ok(7);
        })));
        assert!(is_open(quote!(|tx| if a {
            Ok(1)
        } else if b {
            unsafe { Ok(2) }
        } else {
            panic!()
        })));
        assert!(is_open(quote!(|tx| match a {
            1 => Ok(1),
            _ => return Ok(2),
        })));
        assert!(is_open(quote!(|tx| {
            if a {
                return Err(Odd.into());
            }
            Ok(1)
        })));
    }

    #[test]
    fn a_value_with_a_type_of_its_own_tells() {
        assert!(!is_open(quote!(|tx| write(tx).await)));
        assert!(!is_open(quote!(|tx| Ok::<_, MyError>(()))));
        assert!(!is_open(quote!(|tx| Result::<_, MyError>::Ok(()))));
        assert!(!is_open(quote!(|tx| -> Result<(), MyError> { Ok(()) })));
        assert!(!is_open(quote!(|tx| {
            if a {
                return Err(MyError::Odd);
            }
            Ok(1)
        })));
        assert!(!is_open(quote!(|tx| {
            if a {
                return write(tx).await;
            }
            Ok(1)
        })));
        assert!(!is_open(quote!(|tx| if a { Ok(1) } else { write(tx).await })));
        assert!(!is_open(quote!(|tx| {
            write(tx).await?;
        })));
    }

    #[test]
    fn what_inner_closures_return_is_theirs() {
        assert!(is_open(quote!(|tx| {
            tx.nested(None, async |tx| return Err(Inner::Odd)).await?;
            let later = async { return Err(Inner::Odd) };
            fn inner() -> Result<(), Inner> {
                return Err(Inner::Odd);
            }
            Ok(())
        })));
    }
}
