module ringback

go 1.26.8
