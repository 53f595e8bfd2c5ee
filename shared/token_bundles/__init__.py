"""Token bundles: packages of tokens that customers buy beside their subscription."""
