"""The product's pages: server-rendered, working without scripts where a form can do it."""
