"""What is Cloudflare's: configuration for cloudflared, its answers, its error texts."""
