"""Every back-end of a signer against something that really signs: a token, moto, or a service of ours."""
