COPY account_before FROM STDIN
